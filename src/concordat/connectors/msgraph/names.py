r"""A workspace's folder name: readable, allowed by SharePoint, and read back without loss.

`client · project · name (CC-…)`, of which what is absent or equal is left out. SharePoint refuses
`" * : < > ? / \ |` and names that end in a dot or begin with a tilde, and reserves some names
(src: learn.microsoft.com/graph/onedrive-addressing-driveitems; support.microsoft.com, invalid file names); each such
character becomes its full-width twin, which people read alike and which turns back into the original (one that was
full-width before is marked by a zero-width space). The record key in brackets ends every name, so none ends in a dot
or is reserved, and equal project names never meet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from concordat.errors import Rejected

__all__ = ["LONGEST", "folder_name", "key_of", "read_name"]

LONGEST = 250
"""SharePoint takes 255 characters of a name and 400 of a path; full-width letters count as one."""
_PLAIN = '"*:<>?/\\|#%~'
_WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in _PLAIN)
_BACK = dict(zip(_WIDE, _PLAIN, strict=True))
_OUT = str.maketrans(dict(zip(_PLAIN, _WIDE, strict=True)) | {wide: wide + "\u200b" for wide in _WIDE})
_TURNED = re.compile(f"([{re.escape(_WIDE)}])(\u200b?)")
_VTI, _VTI_WIDE = "_vti_", "\uff3fvti_"
_SEPARATOR, _INSIDE = " · ", " ‧ "
_NOBODY = "…"
_NAMED = re.compile(r"(?P<words>.*) \((?P<key>CC-[A-Za-z0-9-]{1,32})\)", re.DOTALL)


def folder_name(fields: Mapping[str, Any], record_key: str) -> str:
    """Give the folder's name. Raises `Rejected` for a name that is missing, or too long to be kept whole."""
    name = str(fields.get("name") or "").strip()
    if not name:
        raise Rejected("A workspace needs a name.", field="name")
    client, project = (str(fields.get(word) or "").strip() for word in ("client_name", "project_name"))
    words = [client or _NOBODY, project, name] if project and project != name else [client, name]
    made = f"{_SEPARATOR.join(_allowed(word) for word in words if word)} ({record_key})"
    if len(made) > LONGEST:
        raise Rejected(f"The folder's name would have {len(made)} characters, {LONGEST} are allowed.", field="name")
    return made


def key_of(name: str) -> str:
    """Give the record key that a folder's name ends with, or an empty text."""
    match = _NAMED.fullmatch(name)
    return match["key"] if match else ""


def read_name(name: str) -> dict[str, str | None]:
    """Give back the words of a folder's name; a name of somebody else's making is just a name."""
    match = _NAMED.fullmatch(name)
    words = [_original(word) for word in (match["words"] if match else name).split(_SEPARATOR)]
    if len(words) > 3 or not match:
        words = [_SEPARATOR.join(words)]
    last = words[-1]
    client = words[0] if len(words) > 1 and words[0] != _NOBODY else None
    return {"name": last, "client_name": client, "project_name": words[1] if len(words) == 3 else last}


def _allowed(word: str) -> str:
    flat = re.sub(r"[\x00-\x1f]+", " ", word).replace(_SEPARATOR, _INSIDE)
    return flat.replace(_VTI, _VTI_WIDE).translate(_OUT)


def _original(word: str) -> str:
    plain = _TURNED.sub(lambda match: match[1] if match[2] else _BACK[match[1]], word)
    return plain.replace(_VTI_WIDE, _VTI).replace(_INSIDE, _SEPARATOR)
