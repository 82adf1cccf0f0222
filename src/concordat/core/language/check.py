"""What must hold between the words of one contract: names, graph, targets, references, advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from concordat.core.contract import Contract, Step, Undo
from concordat.core.expressions.kinds import nearest
from concordat.core.language.later import QUESTIONS, later
from concordat.core.language.mend import UNNAMED
from concordat.core.language.place import Desk
from concordat.core.objects import OBJECTS, fields_of
from concordat.core.undo import WORDS

__all__ = ["check"]


def check(desk: Desk) -> None:
    """Report every fault of meaning."""
    _names(desk)
    _relations(desk)
    _subject_rules(desk)
    for name, step in desk.contract.steps.items():
        _step(desk, name, step)
    _graph(desk)
    _targets(desk)
    _reactions(desk)
    _ownership(desk)
    _clocks(desk)
    _not_yet(desk)
    _advice(desk)


def _names(desk: Desk) -> None:
    desk.object(("subject",), desk.contract.subject)
    groups = (("with", desk.records[1:]), ("gather", tuple(desk.contract.gather)), ("steps", desk.steps))
    taken = {desk.contract.subject: "subject"}
    for word, names in groups:
        for name in names:
            if name in taken:
                remedy = "Give one of them another name; rules tell things apart by name."
                desk.tell(
                    (word, name),
                    "name-twice",
                    f"`{name}` is also the name of a {taken[name]}",
                    remedy,
                    key=True,
                )
            taken.setdefault(name, {"with": "related record", "gather": "collection", "steps": "step"}[word])
    if "default" in desk.steps:
        desk.tell(("steps", "default"), "bad-name", "A step cannot be called `default`", "Rename it.", key=True)


def _relations(desk: Desk) -> None:
    for name, relation in desk.contract.with_.items():
        loc = ("with", name)
        if relation.object is not None:
            desk.object((*loc, "object"), relation.object)
        at = (*loc, "of") if (*loc, "of") in desk.source.places else loc
        if relation.of == "true":
            continue
        desk.field(at, relation.of)
        fact = desk.fact(relation.of)
        if fact is not None and fact.kind != "reference" and not fact.refers:
            remedy = "Name a field that leads to another record."
            desk.tell(at, "not-a-reference", f"`{relation.of}` is {fact.kind}, not a reference", remedy)
        elif relation.object is None and desk.object_at(name) is None and fact is not None:
            remedy = f"Write `{name}: {{of: {relation.of}, object: …}}`."
            desk.tell(at, "unknown-object", f"Nothing tells which object `{name}` is", remedy)


def _subject_rules(desk: Desk) -> None:
    contract = desk.contract
    desk.rule(("when",), contract.when)
    if contract.withdrawn is not None:
        desk.rule(("withdrawn",), contract.withdrawn)
    if contract.value is not None:
        _money_value(desk, contract.value)
    for at, requirement in enumerate(contract.require):
        loc = ("require", at)
        if requirement.field is not None:
            desk.field((*loc, "field"), requirement.field)
        if requirement.rule is not None:
            desk.rule((*loc, "rule"), requirement.rule)
        if requirement.unless is not None:
            desk.rule((*loc, "unless"), requirement.unless)
    for name, gather in contract.gather.items():
        desk.object(("gather", name, "from"), gather.from_)


def _money_value(desk: Desk, text: str) -> None:
    rule = desk.rule(("value",), text, truth=False)
    kind = desk.known(text).kind if rule is not None and rule.pure else "any"
    if kind not in ("money", "any"):
        desk.tell(("value",), "not-money", f"`{text}` is {kind}, not money", "Name an amount.")


def _step(desk: Desk, name: str, step: Step) -> None:
    loc = ("steps", name)
    if step.in_ is not None:
        desk.system((*loc, "in"), step.in_)
    if step.of is not None:
        desk.named((*loc, "of"), step.of, desk.records, "unknown-record", "record")
    more = ("item",) if step.each else ()
    if step.if_ is not None:
        desk.rule((*loc, "if"), step.if_, more=more)
    for word, text in (("each", step.each), ("for", step.for_)):
        if text is not None and text not in desk.collections:
            desk.rule((*loc, word), text, truth=False)
    if step.put is not None:
        _document(desk, name, step, more)
    elif step.check is not None and step.check not in QUESTIONS:
        near = nearest(step.check, tuple(QUESTIONS))
        if near:
            desk.tell((*loc, "check"), "unknown-question", f"No question `{step.check}`", near)


def _document(desk: Desk, name: str, step: Step, more: Sequence[str]) -> None:
    """Check the fields that a step writes and what it writes into them."""
    loc = ("steps", name)
    known = fields_of(step.put) if step.put in OBJECTS and step.put else {}
    desk.object((*loc, "put"), step.put or UNNAMED)
    for target, text in step.map.items():
        at = (*loc, "map", target)
        if known:
            desk.named(at, target, tuple(known), "unknown-field", f"field of `{step.put}`", key=True)
        rule = desk.rule(at, text, more=(*desk.steps, *more), truth=False)
        fact = known.get(target)
        if rule is None or fact is None or not rule.pure or "." not in text:
            continue
        kind = desk.known(text, more).kind
        if kind != "any" and (fact.kind == "money") != (kind == "money"):
            desk.tell(at, "wrong-kind", f"`{target}` is {fact.kind} and `{text}` is {kind}", "Map like to like.")


def _graph(desk: Desk) -> None:
    contract = desk.contract
    edges: dict[str, tuple[str, ...]] = {}
    for name, step in contract.steps.items():
        known = []
        for at, before in enumerate(step.after):
            listed = ("steps", name, "after", at)
            loc = listed if listed in desk.source.places else ("steps", name, "after")
            if desk.named(loc, before, desk.steps, "unknown-step", "step"):
                known.append(before)
        edges[name] = tuple(known)
    ring = _ring(edges)
    if ring:
        way = " → ".join((*ring, ring[0]))
        desk.tell(
            ("steps", ring[0], "after"),
            "cycle",
            f"The steps wait for each other: {way}",
            "Take one `after` out.",
        )
    _outputs(desk, edges)


def _ring(edges: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return one cycle of the graph, or nothing."""
    left = dict(edges)
    while free := [name for name, before in left.items() if not any(other in left for other in before)]:
        for name in free:
            del left[name]
    if not left:
        return ()
    way = [next(iter(left))]
    while True:
        way.append(next(other for other in left[way[-1]] if other in left))
        if way[-1] in way[:-1]:
            return tuple(way[way.index(way[-1]) : -1])


def _outputs(desk: Desk, edges: dict[str, tuple[str, ...]]) -> None:
    """Check that a step which maps what another makes comes after it, and does not outlive its failure."""
    for name, step in desk.contract.steps.items():
        for target, text in step.map.items():
            source = text.split(".")[0]
            if source not in edges or source in desk.records:
                continue
            loc = ("steps", name, "map", target)
            if source not in _before(name, edges):
                desk.tell(loc, "not-after", f"`{name}` maps what `{source}` makes", f"Add `after: [{source}]`.")
            elif desk.contract.steps[source].optional and not step.optional:
                remedy = f"Make `{name}` optional, or `{source}` mandatory."
                desk.tell(loc, "maps-optional", f"`{source}` is optional and its result is mapped", remedy)


def _before(name: str, edges: dict[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    ahead = list(edges[name])
    while ahead:
        step = ahead.pop()
        if step not in found:
            found.add(step)
            ahead.extend(edges.get(step, ()))
    return found


def _targets(desk: Desk) -> None:
    """One record has one target object of a kind in a system, unless `as` tells two apart."""
    taken: dict[tuple[str, str, str, str | None], str] = {}
    for name, step in desk.contract.steps.items():
        if step.put is None or step.each is not None:
            continue
        target = (step.put, step.system, desk.contract.record_of(name), step.as_)
        if target in taken:
            message = f"`{taken[target]}` puts the same {step.put} into {step.system} for the same record"
            desk.tell(("steps", name), "same-target", message, "Add `as: <name>` to tell them apart.", key=True)
        taken.setdefault(target, name)


def _reactions(desk: Desk) -> None:
    contract = desk.contract
    for name in contract.late_change:
        if name != "default":
            desk.named(("late_change", name), name, desk.steps, "unknown-step", "step", key=True)
        _late_fields(desk, name)
    for name, undo in contract.undo.items():
        desk.named(("undo", name), name, desk.steps, "unknown-step", "step", key=True)
        step = contract.steps.get(name)
        target = (step.put,) if step and step.put else ()
        for word, rule in (("unless", undo.unless), ("decide_if", undo.decide_if)):
            if rule is not None:
                desk.rule(("undo", name, word), rule, more=target)
        _undoable(desk, name, undo, step)
        if undo.else_ is not None and not undo.else_.startswith("case to "):
            loc = ("undo", name, "else")
            desk.tell(loc, "unknown-word", f"`{undo.else_}` has no meaning here", "Write `case to <team>`.")
    if contract.final_after is not None:
        desk.named(("final_after",), contract.final_after, desk.steps, "unknown-step", "step")


def _undoable(desk: Desk, name: str, undo: Undo, step: Step | None) -> None:
    """Say what the step's own target cannot do: it becomes a case when the subject is withdrawn."""
    if step is None or step.put is None or undo.do not in WORDS:
        return
    words = desk.undoes.get((step.system, step.put))
    if words is not None and undo.do not in words:
        can = ", ".join(sorted(words)) or "none of them"
        message = f"{step.system} cannot {undo.do} a {step.put}: a withdrawal makes a case"
        remedy = f"Of the words of `undo` it can do: {can}."
        desk.tell(("undo", name), "cannot-undo", message, remedy, key=True, severity="warning")


def _late_fields(desk: Desk, name: str) -> None:
    """A field with a reaction of its own is a field of what the step puts; for `default`, of what any step puts."""
    steps = desk.contract.steps.values() if name == "default" else [desk.contract.steps.get(name)]
    known = [field for step in steps if step and step.put in OBJECTS for field in fields_of(step.put or "")]
    for field in desk.contract.late_change[name].fields:
        desk.named(("late_change", name, "fields", field), field, tuple(known), "unknown-field", "field", key=True)


def _ownership(desk: Desk) -> None:
    for path, ownership in desk.contract.owns.items():
        _object_field(desk, ("owns", path), path, key=True)
        desk.system(("owns", path, "system"), ownership.system)
    if desk.contract.reconcile is not None:
        for at, path in enumerate(desk.contract.reconcile.fields):
            _object_field(desk, ("reconcile", "fields", at), path)


def _object_field(desk: Desk, loc: tuple[str | int, ...], path: str, *, key: bool = False) -> None:
    """Check `object.field`: whose field, in the words of the canonical objects."""
    object_, _, name = path.partition(".")
    if not name:
        object_, name = desk.contract.subject, path
    if object_ not in OBJECTS:
        near = nearest(object_, tuple(OBJECTS)) or "Write `object.field`."
        if object_ != UNNAMED:
            desk.tell(loc, "unknown-object", f"No canonical object `{object_}`", near, key=key)
    elif name.split(".")[0] not in fields_of(object_):
        near = nearest(name, tuple(fields_of(object_))) or "The reference lists its fields."
        desk.tell(loc, "unknown-field", f"`{object_}` has no field `{name}`", near, key=key)


def _clocks(desk: Desk) -> None:
    seen: set[str] = set()
    for at, level in enumerate(desk.contract.service_levels):
        loc = ("service_levels", at)
        if level.name in seen and level.name != UNNAMED:
            desk.tell((*loc, "name"), "name-twice", f"Two service levels are called `{level.name}`", "Rename one.")
        seen.add(level.name)
        if "." in level.until or "(" in level.until:
            desk.rule((*loc, "until"), level.until, truth=False)
        elif level.until != "true":
            desk.named((*loc, "until"), level.until, desk.steps, "unknown-step", "step")
        if level.from_ is not None:
            desk.rule((*loc, "from"), level.from_, truth=False)


def _not_yet(desk: Desk) -> None:
    for loc, purpose in later(desk.source.data):
        if desk.silent(loc):
            desk.tell(
                loc,
                "not-yet",
                f"{purpose} is known and runs in a later release",
                "Keep it; the contract is checked and not loaded.",
                key=True,
                severity="later",
            )


def _advice(desk: Desk) -> None:
    for loc, message, remedy in _advised(desk.contract, isinstance(desk.source.data, dict)):
        desk.tell(loc, "advice", message, remedy, key=True, severity="warning")


def _advised(contract: Contract, whole: bool) -> Iterator[tuple[tuple[str, ...], str, str]]:  # noqa: FBT001
    if whole and contract.withdrawn is None:
        yield (
            ("when",),
            "Nothing says when this is withdrawn",
            "Add `withdrawn: <rule>`; `when` becoming false undoes nothing.",
        )
