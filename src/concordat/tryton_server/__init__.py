"""A real Tryton 8.0 as a separate program: installed, set up once, restored per run, started on loopback.

Tryton is GPL-3.0-or-later. It lives in a virtual environment of its own and is spoken to over JSON-RPC only;
nothing here, or anywhere in Concordat, imports it.
"""

from concordat.tryton_server.server import Access, Tryton
from concordat.tryton_server.steps import Progress, silent

__all__ = ["Access", "Progress", "Tryton", "silent"]
