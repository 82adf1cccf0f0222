"""`python -m concordat`: the same as the `concordat` command."""

from concordat.cli.main import main

if __name__ == "__main__":
    main()
