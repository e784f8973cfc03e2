"""What a project's own sessions teach about candidates: hard signals, counted, decayed, bounded.

    bad    a run of tests or a build failed after its edits; the same tool error three times; the person took it back
    good   the task ended (a new one, thanks, a commit) after an edit and a run that passed

A task gives whoever answered it at most one of each. Counts are kept by project, kind and candidate, and halve with
time. Beside them stands what was due: how many would have been good by what was expected of the candidate on just these
tasks, so that who is given the easy ones does not look strong by it. How far all candidates of a project are off
together is the project's doing (hard tasks, tests that always fail first); what one is off beyond that moves its
chance, pulled to nothing by `PRIOR`; never by more than the operator allows, and not at all before there are `LEAST`
signals. No text is kept: a project is a hash of who asks and where.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from openfusion_auto.core import envelope
from openfusion_auto.core.facts import Facts
from openfusion_auto.core.history import Doing, doings, spoken
from openfusion_auto.core.outcomes import struggle_of
from openfusion_auto.core.prompt import Message, Prompt
from openfusion_auto.core.rejection import FIRST_CHARS, first_sentence, takes_back
from openfusion_auto.core.score import ease_of
from openfusion_auto.core.strength import chance, strengths
from openfusion_auto.core.types import Kind, Pool, Score, Task

LEAST = 5.0  # decayed signals of a project and kind below which nothing is moved
PRIOR = 10.0  # signals that the belief is worth that a candidate is as good as expected: it is off by 0.14, one sigma
PROJECT_PRIOR = 5.0  # the same of all candidates together, in a project: by 0.2
ENVIRONMENT_CHARS = 60_000  # [characters] of a message that are searched for the working directory
ENVIRONMENT_MESSAGES = 6  # at the head of a conversation


# -- counts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """Decayed counts of good and bad signals; `at_s` is when they were last decayed to [s].

    `due` is how many were expected to be good, None where a version kept them that did not count it.
    """

    good: float = 0.0
    bad: float = 0.0
    at_s: float = 0.0
    due: float | None = None

    @property
    def count(self) -> float:
        """How many signals."""
        return self.good + self.bad


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
    due = None if tally.due is None else tally.due * keep
    return Tally(tally.good * keep, tally.bad * keep, now_s, due)


def taught(tally: Tally, now_s: float, half_life_s: float, *, good: bool, expected: float) -> Tally:
    """Return the counts with one more signal, of a task that was expected to go well with that chance 0..1."""
    old = decayed(tally, now_s, half_life_s)
    before = old.count * expected if old.due is None else old.due
    return Tally(old.good + good, old.bad + (not good), old.at_s, before + expected)


def lifts(off: Mapping[str, tuple[float, float]], max_lift: float) -> dict[str, float]:
    """Return by how much chances are moved [share], at most `max_lift` up or down.

    The means of a two-level normal model: how far candidates are off is the project's part, which all share, and their
    own, which is what moves them.

    Args:
        off: By candidate: its signals, more than 0, and by how much their good share is above what was due.
        max_lift: The most.
    """
    if sum(n for n, _ in off.values()) < LEAST:
        return {}
    weights = {name: PRIOR * n / (n + PRIOR) for name, (n, _) in off.items()}
    shared = sum(weights[name] * by for name, (_, by) in off.items())
    shared /= sum(weights.values()) + PROJECT_PRIOR
    moved = {name: (by - shared) * n / (n + PRIOR) for name, (n, by) in off.items()}
    return {name: max(-max_lift, min(max_lift, round(by, 6))) for name, by in moved.items()}


def expected_of(pool: Pool, candidate: str, task: Task) -> float:
    """Return the chance 0..1 that a candidate of the pool solves a task, by its strength alone."""
    place = pool.row_of[candidate]
    return chance(strengths(pool, task.kind).logit[place], ease_of(task))


def lifts_of(
    tallies: Iterable[tuple[str, Tally]], pool: Pool, kind: Kind, max_lift: float
) -> tuple[tuple[str, float], ...]:
    """Return the lifts of the pool's candidates, given all (decayed) tallies of a project and kind; none of 0."""
    off: dict[str, tuple[float, float]] = {}
    logit = strengths(pool, kind).logit
    for name, tally in sorted(tallies):
        if name in pool.row_of and tally.count > 0:
            usual = tally.count * chance(logit[pool.row_of[name]], 0.0)
            due = usual if tally.due is None else tally.due
            off[name] = (tally.count, (tally.good - due) / tally.count)
    return tuple((name, lift) for name, lift in lifts(off, max_lift).items() if lift)


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
        expected: The chance that it solves the task, before anything was learned.
        done: How much had been done when this candidate took over: only what follows is held against it.
    """

    project: str
    kind: Kind
    candidate: str
    task: str
    expected: float
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
