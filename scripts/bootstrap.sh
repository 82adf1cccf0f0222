#!/bin/sh
# Makes .venv from a bare Python 3.11 or later: the private environment, and in it what requirements.lock needs to be read.
# Usage: scripts/bootstrap.sh [PYTHON]. Safe to repeat; says in one sentence what is missing.
set -eu

say() { printf '%s\n' "$*" >&2; }

recent() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

choose() {
    for name in "$@"; do
        if recent "$name"; then
            printf '%s' "$name"
            return
        fi
    done
}

asked=${1:-}
if [ -n "$asked" ]; then
    python=$(choose "$asked")
else
    python=$(choose python3 python3.13 python3.12 python3.11 python3.14 python)
fi

if [ -z "$python" ]; then
    found=$("${asked:-python3}" --version 2>/dev/null || echo "no ${asked:-python3}")
    say "Concordat needs Python 3.11 or later; this machine offers $found."
    say "Install one (Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12"
    exit 3
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    say "$python cannot make a virtual environment."
    say "Install its venv module (Debian: apt-get install python3-venv), then repeat."
    exit 3
fi

if ! .venv/bin/python -c '' 2>/dev/null; then
    say "Making a private environment in .venv with $("$python" --version)."
    rm -rf .venv
    "$python" -m venv .venv
fi

if ! .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r scripts/bootstrap.lock; then
    say "The package index could not be read. Concordat installs from the index that pip is set to use; see: pip config list"
    exit 3
fi
