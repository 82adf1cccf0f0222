"""Rules and values of a contract: CEL with exact money, ordered dates, and a third answer, unknown."""

from __future__ import annotations

from concordat.core.expressions.functions import FUNCTIONS, Function
from concordat.core.expressions.kinds import Problem, examine
from concordat.core.expressions.rule import Outcome, Rule, Unknown, compile_rule
from concordat.core.expressions.syntax import BadExpression

__all__ = [
    "FUNCTIONS",
    "BadExpression",
    "Function",
    "Outcome",
    "Problem",
    "Rule",
    "Unknown",
    "compile_rule",
    "examine",
]
