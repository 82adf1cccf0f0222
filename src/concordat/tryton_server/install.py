"""Installs the locked Tryton into a virtual environment of its own."""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv
from pathlib import Path

from concordat.tryton_server.lock import held
from concordat.tryton_server.steps import Progress, run

__all__ = ["LOCK", "default_cache", "environment", "environment_folder"]

LOCK = Path(__file__).with_name("requirements-8.0.txt")
_REMEDY = "Check that this machine reaches its Python package index, then try again."


def default_cache() -> Path:
    """Where the environment and the template of the firm are kept between runs."""
    return Path.home() / ".cache" / "concordat"


def environment_folder(cache: Path) -> Path:
    """Where the environment belongs; another lock or Python never meets an old one."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(LOCK.read_bytes() + python.encode()).hexdigest()[:12]
    return cache / f"tryton-8.0-{digest}"


def environment(cache: Path, progress: Progress) -> Path:
    """Give the folder of a complete environment, made on first use (about 10 s).

    It counts as complete only with its stamp; a half-made one is made again.
    """
    folder = environment_folder(cache)
    stamp = folder / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with held(cache / f"{folder.name}.lock"):
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, progress)
            stamp.touch()
    progress("Tryton is installed", 1.0)
    return folder


def _install(folder: Path, progress: Progress) -> None:
    progress("making a virtual environment for Tryton", 0.0)
    uv = _uv()
    venv.create(folder, with_pip=uv is None, symlinks=True)
    progress("installing Tryton 8.0 from its lock", 0.2)
    python = folder / "bin" / "python"
    if uv is None:
        command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--compile"]
    else:
        command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    run([*command, "--require-hashes", "-r", LOCK], what="Installing Tryton", remedy=_REMEDY)


def _uv() -> Path | None:
    beside = Path(sys.executable).with_name("uv")
    if beside.exists():
        return beside
    found = shutil.which("uv")
    return Path(found) if found else None
