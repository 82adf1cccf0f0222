"""The CEL interpreter by itself: its distribution would import a command line and a terminal toolkit beside it."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import Any

__all__ = ["cel"]

NAME = "cel.cel"
"""The compiled part of the package `cel`; the rest of it takes a third of a second and is for people at a prompt."""


def _interpreter() -> Any:
    """Load the compiled part under its own name, so that who imports the whole package later gets the same one.

    Where it is not a file of its own, the package as a whole will do.
    """
    package = find_spec("cel")
    inner = PathFinder.find_spec("cel", package.submodule_search_locations) if package else None
    spec = spec_from_file_location(NAME, inner.origin) if inner and inner.origin else None
    if NAME in sys.modules or spec is None or spec.loader is None:
        return import_module("cel")
    module = sys.modules[NAME] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cel = _interpreter()
