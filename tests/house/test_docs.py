"""The documentation keeps its word: links lead somewhere, pages are fresh, claims name their proof."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import ModuleType

import pytest

from concordat.core import states

pytestmark = pytest.mark.fast

LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"proposed|accepted|superseded by \[?\d{4}\b.*")
ENTRY = re.compile(r"^- \*\*(.+?)\*\*: (.+)$", re.MULTILINE)
STATES = {
    name: getattr(states, name)
    for name in states.__all__
    if isinstance(getattr(states, name), type) and issubclass(getattr(states, name), StrEnum)
}


@pytest.fixture(scope="session")
def written(texts: Mapping[str, str]) -> Mapping[str, str]:
    return {name: FENCE.sub("", text) for name, text in texts.items() if name.endswith(".md")}


def test_every_link_leads_somewhere(written: Mapping[str, str], root: Path):
    broken = [
        f"{name}: {link}" for name, text in written.items() for link in LINK.findall(text) if _broken(root, name, link)
    ]
    assert broken == []


def _broken(root: Path, name: str, link: str) -> bool:
    if re.match(r"[a-z][a-z0-9+.-]*:", link):
        return False
    path, _, anchor = link.partition("#")
    target = (root / name).parent / path if path else root / name
    if not target.exists():
        return True
    return bool(anchor) and target.suffix == ".md" and anchor not in set(_anchors(target.read_text(encoding="utf-8")))


def _anchors(text: str) -> Iterator[str]:
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_generated_pages_are_fresh(docs: ModuleType):
    stale = [path.name for path, text in docs.pages().items() if not path.exists() or path.read_text("utf-8") != text]
    assert stale == [], "run `make docs`"


def test_every_page_has_one_title(written: Mapping[str, str]):
    pages = {name: text for name, text in written.items() if name.startswith("docs/")}
    assert [name for name, text in pages.items() if len(re.findall(r"^# ", text, re.MULTILINE)) != 1] == []


def test_decisions_are_numbered_without_a_gap(root: Path):
    names = sorted(path.name for path in (root / "docs" / "adr").glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert [name for name in names if not re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", name)] == []


def test_every_decision_has_status_date_and_its_three_parts(root: Path):
    faults = [
        f"{path.name}: {fault}"
        for path in sorted((root / "docs" / "adr").glob("[0-9]*.md"))
        for fault in _decision_faults(path.name, path.read_text(encoding="utf-8"))
    ]
    assert faults == []


def _decision_faults(name: str, text: str) -> Iterator[str]:
    if not text.startswith(f"# {name[:4]} · "):
        yield "the title does not begin with its number"
    status = re.search(r"^- Status: (.+)$", text, re.MULTILINE)
    if not status or not STATUS.fullmatch(status[1]):
        yield "no status, or one that there is not"
    said = re.search(r"^- Date: (.+)$", text, re.MULTILINE)
    if not said or not _is_date(said[1]):
        yield "no date"
    if re.findall(r"^## (.+)$", text, re.MULTILINE) != ["Context", "Decision", "Consequences"]:
        yield "not context, decision, consequences"


def _is_date(said: str) -> bool:
    try:
        date.fromisoformat(said)
    except ValueError:
        return False
    return True


@pytest.fixture(scope="session")
def glossary(texts: Mapping[str, str]) -> Mapping[str, list[tuple[str, str]]]:
    """Section → entries of (word, meaning)."""
    sections = re.split(r"^## (.+)$", texts["docs/glossary.md"], flags=re.MULTILINE)[1:]
    return {head: ENTRY.findall(body) for head, body in zip(sections[::2], sections[1::2], strict=True)}


def test_the_glossary_is_sorted_and_says_each_word_once(glossary: Mapping[str, list[tuple[str, str]]]):
    words = [word for word, _ in glossary["Words"]]
    assert words == sorted(words, key=str.casefold)
    assert len(words) == len(set(words))


def test_a_meaning_is_one_sentence(glossary: Mapping[str, list[tuple[str, str]]]):
    meanings = [(word, said) for entries in glossary.values() for word, said in entries]
    faulty = [word for word, said in meanings if not said.endswith(".") or re.search(r"[.!?] [A-Z]", said)]
    assert faulty == []


@pytest.mark.parametrize("kind", sorted(STATES))
def test_the_glossary_has_every_state(kind: str, glossary: Mapping[str, list[tuple[str, str]]]):
    section = f"States of {_article(kind.removesuffix('State').lower())}"
    told = [word for word, _ in glossary.get(section, [])]
    assert told == [str(state) for state in STATES[kind]], f"{section}: as in concordat.core.states, in its order"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _proofs(text: str) -> Iterator[tuple[str, str]]:
    """First cell and last cell of each row of the tables whose last column says what proves it."""
    proven = False
    for line in text.splitlines():
        if not line.startswith("|"):
            proven = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[-1] == "proven by":
            proven = True
        elif proven and not cells[0].startswith("-"):
            yield cells[0], cells[-1]


@pytest.mark.parametrize("page", ["promises", "security"])
def test_a_claim_names_a_test_that_exists_or_says_not_yet(page: str, texts: Mapping[str, str], root: Path):
    rows = list(_proofs(texts[f"docs/explanation/{page}.md"]))
    paths = {(claim, path) for claim, said in rows for path in re.findall(r"tests/[\w./-]+\w", said)}
    assert [(claim, path) for claim, path in sorted(paths) if not (root / path).exists()] == []
    assert [claim for claim, said in rows if "not yet" not in said and "tests/" not in said] == []


def test_every_promise_is_listed_once(texts: Mapping[str, str]):
    listed = [claim for claim, _ in _proofs(texts["docs/explanation/promises.md"])]
    assert listed == [f"P{number}" for number in range(1, 25)]


def test_every_environment_variable_is_documented(texts: Mapping[str, str]):
    known = re.compile(r"`(CONCORDAT_[A-Z_]+)")
    read = set(re.findall(r"\"(CONCORDAT_[A-Z_]+)\"", texts["src/concordat/settings.py"]))
    assert set(known.findall(texts["docs/reference/interfaces.md"])) == read
