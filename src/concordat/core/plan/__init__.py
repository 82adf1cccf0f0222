"""What must be true: `plan(contract, subject, related)` gives the desired effects of one handoff.

Pure: no I/O, no clock, no chance. The same records give the same plan, byte for byte, so planning again is free of
harm and a digest tells whether anything changed. What was already done is not looked at here; `concordat.core.late`
decides what a difference means.

Used by the examples beside each contract: `plan(contract, subject, related, targets)` with `Known` records.
"""

from concordat.core.plan.planner import Planner, plan
from concordat.core.plan.shape import Desired, Known, Missing, Plan, Stance

__all__ = ["Desired", "Known", "Missing", "Plan", "Planner", "Stance", "plan"]
