"""What comes in: pushes kept durable before their answer, hints read back in bulk, sources swept with overlap.

A push or a feed never brings data of record; it leaves a hint, and the state is read from the source. Every push ends
as applied, superseded, duplicate or case; while it is none of them, it is received and its hints are there to be read.
"""

from concordat.engine.intake.hints import HINTS, read_hints
from concordat.engine.intake.pushes import Received, receive
from concordat.engine.intake.records import Kept, keep_records, take_records
from concordat.engine.intake.sweeps import sweep

__all__ = ["HINTS", "Kept", "Received", "keep_records", "read_hints", "receive", "sweep", "take_records"]
