"""These tests see the product as a stranger does: no import of it, by any of them."""

from __future__ import annotations

import ast
from pathlib import Path


def test_nothing_here_imports_the_product() -> None:
    for file in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "concordat"], file
