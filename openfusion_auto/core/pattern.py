"""Regular expressions that cannot hang: Python's syntax, searched in time linear in the text.

Python's own engine tries alternatives one after the other; `(a+)+b` takes it longer than anybody waits. Here an
expression becomes a set of states that are followed all at once, and sets that were seen are remembered, so a text
costs one step a character whatever the expression. What such a machine cannot do (looking around, references back to
a group) is refused when the expression is compiled, as is one that would need more than `MOST_STATES`.

Case is ignored. `.` does not match a line's end, `^` and `$` are the ends of the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from re import _constants as op  # type: ignore[attr-defined] # the parser behind `re` is not in typeshed
from re import _parser as parser  # type: ignore[attr-defined] # the parser behind `re` is not in typeshed
from typing import Any

MOST_STATES = 2_000  # of one expression; `x{1000}` has a thousand
MOST_SETS = 200  # sets of states that are remembered; when there are more, all are forgotten
MOST_NEXT = 128  # characters behind each of them
Test = Callable[[str], bool]  # whether a character, in lower case, is one that is meant


class Refused(ValueError):
    """An expression that is not valid, or that cannot be searched in linear time; the text says why."""


@dataclass(frozen=True, slots=True)
class Node:
    """A state. Without a `test` and an `edge` it goes on at once to all of `after`; `edge` does so at a place only."""

    after: tuple[int, ...]
    test: Test | None = None
    edge: str = ""


class Row:
    """What a machine knows of one set of states behind a character: where each next character leads."""

    __slots__ = ("after", "again", "before", "ends", "states")

    def __init__(self, states: frozenset[int], before: str, *, again: bool) -> None:
        self.states = states
        self.before = before
        self.again = again  # a match may also begin at any later place
        self.after: dict[str, Row] = {}  # by the next character
        self.ends: dict[str, bool] = {}  # whether a match ends here, by the next character


@dataclass(frozen=True, eq=False)
class Machine:
    """A compiled expression: states by number. It matches when it reaches `END`."""

    nodes: tuple[Node, ...]
    start: int
    _rows: dict[tuple[frozenset[int], str, bool], Row] = field(default_factory=dict, repr=False)

    def search(self, text: str) -> tuple[int, int] | None:
        """Return where the match that ends first stands in a text, as short as it can be; None when there is none."""
        folded = lowered(text)
        end = self._first_end(folded, 0, len(folded), again=True)
        if end is None:
            return None
        # At most the square of the match's length, and mostly a step for each place: no match begins there.
        starts = range(end, 0, -1)
        start = next((s for s in starts if self._first_end(folded, s, end) is not None), 0)
        return start, end

    def _first_end(self, text: str, at: int, to: int, *, again: bool = False) -> int | None:
        """Return where the first match ends, at `to` or before, that begins at `at`, with `again` at or behind it."""
        before = place(text[at - 1 : at]) if at else ""
        row = self._row(frozenset({self.start}), before, again=again)
        for i in range(at, to):
            here = text[i]
            following = row.after.get(here)
            if following is None:
                following = self._followed(row, here)
            if row.ends[here]:
                return i
            row = following
            if not row.states:
                return None
        here = text[to : to + 1]
        ends = row.ends.get(here)
        if ends is None:
            ends = END in self._settled(row, here)
        return to if ends else None

    def _row(self, states: frozenset[int], before: str, *, again: bool) -> Row:
        """Return the row of a set of states; the same one every time, until there are too many."""
        key = (states, before, again)
        known = self._rows.get(key)
        if known is None:
            if len(self._rows) >= MOST_SETS:
                self._rows.clear()
            known = self._rows[key] = Row(states, before, again=again)
        return known

    def _followed(self, row: Row, here: str) -> Row:
        """Return the row behind a character, and note it and whether a match ends before the character."""
        if len(row.ends) >= MOST_NEXT:
            row.after.clear()
            row.ends.clear()
        inside = self._settled(row, here)
        row.ends[here] = END in inside
        after = {self.start} if row.again else set()
        for state in inside - {END}:
            node = self.nodes[state]
            if node.test is not None and node.test(here):
                after.update(node.after)
        row.after[here] = self._row(frozenset(after), place(here), again=row.again)
        return row.after[here]

    def _settled(self, row: Row, here: str) -> set[int]:
        """Return all states that are reached without reading."""
        found, waiting = set[int](), list(row.states)
        following = place(here)
        while waiting:
            state = waiting.pop()
            if state in found:
                continue
            found.add(state)
            node = self.nodes[state] if state != END else LAST
            if node.test is None and at_edge(node.edge, row.before, following):
                waiting += node.after
        return found


END = -1
LAST = Node(())


def lowered(text: str) -> str:
    """Return a text in lower case, of the same length: places in it are places in the text."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower()[0] for c in text)


def place(char: str) -> str:
    """Return what of a neighbour matters to an edge: none, a letter, digit or `_`, or something else."""
    return "" if not char else ("w" if char.isalnum() or char == "_" else ".")


def at_edge(edge: str, before: str, here: str) -> bool:
    """Whether a place between two characters (as `place` says them) is the edge that is asked for."""
    match edge:
        case "start":
            return not before
        case "end":
            return not here
        case "boundary":
            return (before == "w") != (here == "w")
        case "inside":
            return (before == "w") == (here == "w")
        case _:
            return True


def compiled(source: str) -> Machine:
    """Compile an expression.

    Raises:
        Refused: it is not valid, or it is but cannot be searched in linear time.
    """
    try:
        tree = parser.parse(source, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refused(f"is not a regular expression: {error}") from None
    if tree.state.flags & ~(re.IGNORECASE | re.UNICODE):
        raise Refused("must not set flags: case is ignored anyway")
    build = _Build()
    start = build.sequence(tree, END)
    return Machine(tuple(build.nodes), start)


class _Build:
    """Makes states from the end of an expression to its start: each is told where it goes on."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, node: Node) -> int:
        if len(self.nodes) >= MOST_STATES:
            raise Refused(f"is too large (over {MOST_STATES} states): use smaller counts")
        self.nodes.append(node)
        return len(self.nodes) - 1

    def sequence(self, items: Iterable[tuple[Any, Any]], after: int) -> int:
        for name, value in reversed(list(items)):
            after = self.item(name, value, after)
        return after

    def item(self, name: object, value: Any, after: int) -> int:  # noqa: ANN401 - as the parser gives it
        if name in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, inner = value
            return self.repeat(least, most, inner, after)
        if name == op.BRANCH:
            ways = tuple(self.sequence(way, after) for way in value[1])
            return self.add(Node(ways))
        if name == op.SUBPATTERN:
            if value[1] or value[2]:
                raise Refused("must not set flags: case is ignored anyway")
            return self.sequence(value[3], after)
        if name == op.AT:
            edge = EDGES.get(value)
            if edge is None:
                raise Refused(f"uses {str(value).lower()}, which is not supported here")
            return self.add(Node((after,), edge=edge))
        test = test_of(name, value)
        if test is None:
            raise Refused(
                f"uses {str(name).lower().replace('_', ' ')}, which cannot be searched in linear time: "
                "write it without lookaround, references to groups, and possessive or atomic parts"
            )
        return self.add(Node((after,), test))

    def repeat(self, least: int, most: Any, inner: Any, after: int) -> int:  # noqa: ANN401 - as the parser gives it
        if most == op.MAXREPEAT:
            loop = self.add(Node(()))
            self.nodes[loop] = Node((self.sequence(inner, loop), after))
            after = loop
        else:
            for _ in range(most - least):
                after = self.add(Node((self.sequence(inner, after), after)))
        for _ in range(least):
            after = self.sequence(inner, after)
        return after


EDGES = {
    op.AT_BEGINNING: "start",
    op.AT_BEGINNING_STRING: "start",
    op.AT_END: "end",
    op.AT_END_STRING: "end",
    op.AT_BOUNDARY: "boundary",
    op.AT_NON_BOUNDARY: "inside",
}
_CLASSES: dict[object, Test] = {
    op.CATEGORY_DIGIT: str.isdecimal,
    op.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    op.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    op.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}


def test_of(name: object, value: Any) -> Test | None:  # noqa: ANN401 - as the parser gives it
    """Return what one item that reads a character asks of it; None when the item is of another kind."""
    if name == op.LITERAL:
        wanted = lowered(chr(value))
        return lambda c: c == wanted
    if name == op.NOT_LITERAL:
        unwanted = lowered(chr(value))
        return lambda c: c != unwanted
    if name == op.ANY:
        return lambda c: c != "\n"
    if name == op.CATEGORY:
        return _CLASSES[value]
    if name != op.IN:
        return None
    negated = value[0][0] == op.NEGATE
    tests = [ranged(*v) if n == op.RANGE else test_of(n, v) for n, v in value if n != op.NEGATE]
    known = [t for t in tests if t is not None]
    return lambda c: any(t(c) for t in known) != negated


def ranged(low: int, high: int) -> Test:
    """Return the test for a range of characters, in either case."""
    return lambda c: (
        low <= ord(c) <= high or (len(c.upper()) == 1 and low <= ord(c.upper()) <= high)
    )
