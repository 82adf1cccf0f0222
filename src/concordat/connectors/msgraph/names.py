r"""A workspace's folder name: readable, allowed by SharePoint, and read back without loss.

`client · project · name (CC-…)`; a project named as the workspace is left out, and `…` stands for what is empty.
SharePoint refuses `" * : < > ? / \ |` and names that end in a dot or begin with a tilde, and reserves some names
(src: learn.microsoft.com/graph/onedrive-addressing-driveitems; support.microsoft.com, invalid file names); each such
character becomes its full-width twin, which people read alike and which turns back into the original (one that was
full-width before is marked by a zero-width space). So do control characters, by their pictures, and the dot that
separates the words. The record key in brackets ends every name, so none ends in a dot or is reserved, and equal project
names never meet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from concordat.errors import Rejected

__all__ = ["LONGEST", "folder_name", "key_of", "read_name"]

LONGEST = 250
"""SharePoint takes 255 characters of a name and 400 of a path, as UTF-16 counts them: an emoji is two."""
_CONTROLS = "".join(map(chr, range(32)))
_PLAIN = '"*:<>?/\\|#%~' + "·" + _CONTROLS
_WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in _PLAIN[:12]) + "‧" + "".join(map(chr, range(0x2400, 0x2420)))
_MARK = "\u200b"
_BACK = dict(zip(_WIDE, _PLAIN, strict=True)) | {"\uff3f": "_"}
_OUT = str.maketrans(dict(zip(_PLAIN, _WIDE, strict=True)) | {wide: wide + _MARK for wide in _BACK})
_TURNED = re.compile(f"([{re.escape(''.join(_BACK))}])({_MARK}?)")
_VTI = re.compile("_(?=vti_)", re.IGNORECASE)
_SEPARATOR = " · "
_NOBODY = "…"
_NAMED = re.compile(r"(?P<words>.*) \((?P<key>CC-[A-Za-z0-9-]{1,32})\)", re.DOTALL)


def folder_name(fields: Mapping[str, Any], record_key: str) -> str:
    """Give the folder's name. Raises `Rejected` for a name that is missing, or too long to be kept whole."""
    name = str(fields.get("name") or "").strip()
    if not name:
        raise Rejected("A workspace needs a name.", field="name")
    client, project = (str(fields.get(word) or "").strip() for word in ("client_name", "project_name"))
    told = [] if project == name or "project_name" not in fields else [_allowed(project)]
    made = f"{_SEPARATOR.join([_allowed(client), *told, _allowed(name)])} ({record_key})"
    length = len(made.encode("utf-16-le", "replace")) // 2
    if length > LONGEST:
        raise Rejected(f"The folder's name would have {length} characters, {LONGEST} are allowed.", field="name")
    return made


def key_of(name: str) -> str:
    """Give the record key that a folder's name ends with, or an empty text."""
    match = _NAMED.fullmatch(name)
    return match["key"] if match else ""


def read_name(name: str) -> dict[str, str | None]:
    """Give back the words of a folder's name; a name of somebody else's making is just a name."""
    match = _NAMED.fullmatch(name)
    whole = match["words"] if match else name
    words = whole.split(_SEPARATOR)
    told = [_original(word) for word in words] if match and len(words) <= 3 else [_original(whole)]
    client = told[0] if len(told) > 1 else None
    return {"name": told[-1], "client_name": client, "project_name": told[1] if len(told) == 3 else told[-1]}


def _allowed(word: str) -> str:
    if word in {"", _NOBODY}:
        return _NOBODY + word.replace(_NOBODY, _MARK)
    return _VTI.sub("\uff3f", word.translate(_OUT))


def _original(word: str) -> str | None:
    if word.removesuffix(_MARK) == _NOBODY:
        return word.removesuffix(_MARK) if word.endswith(_MARK) else None
    return _TURNED.sub(lambda match: match[1] if match[2] else _BACK[match[1]], word)
