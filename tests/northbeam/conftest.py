"""Ports that are free, and a firm that was just written."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from concordat.northbeam.folder import PORTS, write_firm


@pytest.fixture
def ports() -> Mapping[str, int]:
    socks = {name: socket.create_server(("127.0.0.1", 0)) for name in PORTS}
    found = {name: int(sock.getsockname()[1]) for name, sock in socks.items()}
    for sock in socks.values():
        sock.close()
    return found


@pytest.fixture
def folder(tmp_path: Path, ports: Mapping[str, int]) -> Path:
    write_firm(tmp_path / "firm", ports=ports)
    return tmp_path / "firm"
