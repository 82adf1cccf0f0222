"""Write the generated parts of this folder: the contract schema, and the tables of the contract language."""  # noqa: INP001

from __future__ import annotations

import json
from pathlib import Path

from concordat.core.language.schema import json_schema, tables

HERE = Path(__file__).parent
SCHEMA = HERE / "contract.schema.json"
PAGE = HERE / "contract-language.md"
MARK = "<!-- generated below by docs/reference/generate.py; do not edit -->\n"


def schema_text() -> str:
    """Return the schema file as it must be."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def page_text(present: str) -> str:
    """Return the page as it must be, with its hand-written part as it is."""
    return present.partition(MARK)[0] + MARK + "\n" + tables()


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page_text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
