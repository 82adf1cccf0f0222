"""`python forward.py DELAY_FILE LISTEN=TARGET …` carries bytes between addresses, each chunk some seconds later.

Stands alone: it runs in a network namespace, where a program of the firm sees its neighbours on its own loopback.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from pathlib import Path

CHUNK = 65536


def main(delay: Path, *pairs: str) -> None:
    """Listen until killed."""
    for pair in pairs:
        listen, target = (_address(text) for text in pair.split("="))
        door = socket.create_server(listen, backlog=128, reuse_port=False)
        threading.Thread(target=_accept, args=(door, target, delay), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


def _address(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return host, int(port)


def _accept(door: socket.socket, target: tuple[str, int], delay: Path) -> None:
    while True:
        here, _ = door.accept()
        threading.Thread(target=_join, args=(here, target, delay), daemon=True).start()


def _join(here: socket.socket, target: tuple[str, int], delay: Path) -> None:
    try:
        there = socket.create_connection(target, timeout=60)
    except OSError:
        here.close()
        return
    there.settimeout(None)
    back = threading.Thread(target=_carry, args=(there, here, delay), daemon=True)
    back.start()
    _carry(here, there, delay)


def _carry(source: socket.socket, sink: socket.socket, delay: Path) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            seconds = float(delay.read_text() or 0)
            if seconds:
                time.sleep(seconds)
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
