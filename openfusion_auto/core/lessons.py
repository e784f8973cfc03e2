"""What a project's own sessions teach about candidates: hard signals, counted, decayed, bounded.

    bad    a run of tests or a build failed after its edits; the same tool error three times; the person took it back
    good   the task ended (a new one, thanks, a commit) after an edit and a run that passed

A task gives whoever answered it at most one of each. Counts are kept by project, kind and candidate, halve with time,
and move a candidate's chance by how far its rate lies from what its strength says, pulled to that by `PRIOR`; never by
more than the operator allows, and not at all before there are `LEAST` of them. No text is kept: a project is a hash of
who asks and where.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from openfusion_auto.core import envelope
from openfusion_auto.core.facts import Facts
from openfusion_auto.core.history import Doing, doings, spoken
from openfusion_auto.core.outcomes import struggle_of
from openfusion_auto.core.prompt import Message, Prompt
from openfusion_auto.core.rejection import FIRST_CHARS, first_sentence, takes_back
from openfusion_auto.core.strength import chance, strengths
from openfusion_auto.core.types import Kind, Pool, Score

LEAST = 5.0  # decayed signals below which nothing is moved
PRIOR = 10.0  # signals that a candidate's expected rate is worth
ENVIRONMENT_CHARS = 60_000  # [characters] of a message that are searched for the working directory
ENVIRONMENT_MESSAGES = 6  # at the head of a conversation


# -- counts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """Decayed counts of good and bad signals; `at_s` is when they were last decayed to [s]."""

    good: float = 0.0
    bad: float = 0.0
    at_s: float = 0.0


class Key(NamedTuple):
    """What a tally is of."""

    project: str
    kind: str
    candidate: str

    def __str__(self) -> str:
        return f"{self.project}:{self.kind}:{self.candidate}"


PROJECT_CHARS = 16  # of a project's hash: a key is cut by them


def key_of(text: str) -> Key:
    """Return the key that was written as a text."""
    kind, _, candidate = text[PROJECT_CHARS + 1 :].partition(":")
    return Key(text[:PROJECT_CHARS], kind, candidate)


def decayed(tally: Tally, now_s: float, half_life_s: float) -> Tally:
    """Return the counts aged to `now_s` [s]."""
    age_s = now_s - tally.at_s
    if age_s <= 0:
        return tally
    keep = 0.5 ** (age_s / half_life_s)
    return Tally(tally.good * keep, tally.bad * keep, now_s)


def taught(tally: Tally, now_s: float, half_life_s: float, *, good: bool) -> Tally:
    """Return the counts with one more signal."""
    old = decayed(tally, now_s, half_life_s)
    return replace(old, good=old.good + 1) if good else replace(old, bad=old.bad + 1)


def lift_of(tally: Tally, expected: float, max_lift: float) -> float:
    """Return by how much a chance is moved [share], at most `max_lift` up or down; 0 below `LEAST` signals.

    The mean of a Beta distribution whose prior is worth `PRIOR` signals at the `expected` rate, less that rate.
    """
    count = tally.good + tally.bad
    if count < LEAST:
        return 0.0
    moved = (tally.good + PRIOR * expected) / (count + PRIOR) - expected
    return max(-max_lift, min(max_lift, round(moved, 6)))


def expected_rate(pool: Pool, kind: Kind, candidate: str) -> float:
    """Return how often a candidate solves a task of this kind that is as hard as a benchmark's, 0..1."""
    place = next(i for i, c in enumerate(pool.candidates) if c.id == candidate)
    return chance(strengths(pool, kind).logit[place], 0.0)


def lifts_of(
    tallies: Iterable[tuple[str, Tally]], pool: Pool, kind: Kind, max_lift: float
) -> tuple[tuple[str, float], ...]:
    """Return the lifts of the pool's candidates whose (decayed) tallies are given, those of 0 left out."""
    found = (
        (name, lift_of(tally, expected_rate(pool, kind, name), max_lift))
        for name, tally in sorted(tallies)
        if name in pool.by_id
    )
    return tuple((name, lift) for name, lift in found if lift)


def summed(
    a: Sequence[tuple[str, float]], b: Sequence[tuple[str, float]]
) -> tuple[tuple[str, float], ...]:
    """Return lifts of two sources as one: those of one candidate add up."""
    total = dict(a)
    for name, lift in b:
        total[name] = round(total.get(name, 0.0) + lift, 6)
    return tuple(sorted(total.items()))


def told(ranking: Sequence[Score], without: Sequence[Score]) -> tuple[str, ...]:
    """Return the sentence for a decision whose pick is another than it would be `without` the lifts."""
    if not ranking or ranking[0].candidate == without[0].candidate:
        return ()
    return (f"outcomes of earlier tasks put {ranking[0].candidate} before {without[0].candidate}",)


# -- signals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """A session's task in hand: who answers it, and what it has taught already.

    Attributes:
        task: Hash of its words.
        done: How much had been done when this candidate took over: only what follows is held against it.
    """

    project: str
    kind: Kind
    candidate: str
    task: str
    done: int = 0
    bad: bool = False
    good: bool = False


class Signal(NamedTuple):
    """A hard signal about whoever answered."""

    good: bool
    why: str


def signals(prompt: Prompt, facts: Facts, watch: Watch) -> tuple[Signal, ...]:
    """Return what a request says about the answers before it; at most one good and one bad signal a task."""
    if facts.aux is not None:
        return ()
    messages = prompt.messages
    last = spoken(messages, len(messages))
    if facts.turn == "tool":
        if watch.bad or task_name(facts) != watch.task:
            return ()
        return while_running(doings(messages, last + 1, len(messages))[watch.done :], facts)
    start = spoken(messages, last)
    if last < 0 or not any(m.role == "assistant" for m in messages[start + 1 : last]):
        return ()
    heard = envelope.read_text(messages[last].text).words
    done = doings(messages, start + 1, last)[watch.done :]
    if takes_back(heard):
        return () if watch.bad else (Signal(good=False, why="the person took it back"),)
    ended = facts.closing or is_commit(heard) or task_name(facts) != watch.task
    if ended and not watch.good and passed_after_edit(done):
        return (Signal(good=True, why="the task ended after an edit and a run that passed"),)
    return ()


def while_running(done: Sequence[Doing], facts: Facts) -> tuple[Signal, ...]:
    """Return what a tool turn says."""
    # Not what an earlier candidate tried before this one took over.
    stuck = struggle_of(facts.outcomes[-len(done) :] if done else ())
    if stuck:
        return (Signal(good=False, why=stuck),)
    if failed_after_edit(done):
        return (Signal(good=False, why="a run failed after its edits"),)
    return ()


def failed_after_edit(done: Sequence[Doing]) -> bool:
    """Whether a run failed with an edit somewhere before it."""
    edited = False
    for d in done:
        if edited and d.run and not d.ok:
            return True
        edited = edited or (d.edit and d.ok)
    return False


def passed_after_edit(done: Sequence[Doing]) -> bool:
    """Whether the last run came after the last edit, and passed."""
    kinds = [("edit" if d.edit else "run", d.ok) for d in done if d.run or (d.edit and d.ok)]
    return ("edit", True) in kinds and kinds[-1] == ("run", True)


def task_name(facts: Facts) -> str:
    """Return a name of the standing task that holds nothing of it."""
    return short(facts.words)


def count_done(prompt: Prompt) -> int:
    """Return how much has been done since a person spoke last."""
    last = spoken(prompt.messages, len(prompt.messages))
    return len(doings(prompt.messages, last + 1, len(prompt.messages)))


_COMMITS = re.compile(
    r"(?:(?:great|perfect|good|nice|ok|okay|yes|lgtm|please|now)[, ]+)*"
    r"(?:git )?(?:commit|push|ship|merge)\b.{0,30}|lgtm"
)


def is_commit(words: str) -> bool:
    """Whether a person says to commit what was done."""
    first = first_sentence(words)
    return len(first) <= FIRST_CHARS and _COMMITS.fullmatch(first) is not None


# -- the project -----------------------------------------------------------------------------------------------------

# As clients name it in their environment block: Codex <cwd>; Claude Code, OpenCode and Crush "Working directory:";
# Gemini and Qwen "working in the directory:"; Cline and Roo "Current Working Directory (...)".
_MARKS = ("<cwd>", "orking directory", "orking Directory", "orking in the directory")
_FOLDER = re.compile(
    r"<cwd>\s*([^<>\n]{1,400}?)\s*</cwd>"
    r"|orking (?:in the )?[Dd]irectory(?: is)?(?::[ \t]*|[ \t]*\()([^\n()<>]{1,400})"
)


def folder_of(messages: Sequence[Message]) -> str:
    """Return the working directory that a client names at the head of a conversation, "" when it names none."""
    for message in messages[:ENVIRONMENT_MESSAGES]:
        if message.role in ("assistant", "tool"):
            continue
        text = message.text[:ENVIRONMENT_CHARS]
        for mark in _MARKS:
            at = text.find(mark)
            found = _FOLDER.match(text, at) if at >= 0 else None
            if found is not None:
                return (found[1] or found[2]).strip().rstrip("/\\")
    return ""


def project_of(prompt: Prompt, identity: str) -> str:
    """Return the name of a project: a hash of who asks and where, so that nobody can teach about another's."""
    return short(identity, folder_of(prompt.messages))


def short(*parts: str) -> str:
    """Return a hash of texts."""
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:PROJECT_CHARS]


def by_candidate(
    tallies: Mapping[str, Tally], project: str, kind: str, names: Iterable[str]
) -> list[tuple[str, Tally]]:
    """Return a project's tallies of a kind, by candidate."""
    found = ((name, tallies.get(str(Key(project, kind, name)))) for name in names)
    return [(name, tally) for name, tally in found if tally is not None]
