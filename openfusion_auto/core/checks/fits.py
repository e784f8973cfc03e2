"""Whether tool calls fit what the client's request says its tools take."""

from __future__ import annotations

from openfusion_auto.core.checks.jsons import first_break, strict_json
from openfusion_auto.core.prompt import Answer, Tool


class Fits:
    """Holds the calls of one answer against the schemas of the request's tools; each call once.

    What cannot be judged fits: tools that were not offered or take free text, arguments that are empty or not JSON.
    """

    def __init__(self, tools: tuple[Tool, ...]) -> None:
        self._tools = tools
        self._known: dict[tuple[str, str], str | None] = {}

    def misfit(self, name: str, arguments: str) -> str | None:
        """Return how a call breaks its tool's schema, without a word of its arguments; None when it fits."""
        key = (name, arguments)
        if key not in self._known:
            self._known[key] = self._look(name, arguments)
        return self._known[key]

    def first_misfit(self, answer: Answer) -> str | None:
        """Return how the first call of an answer that does not fit breaks its schema."""
        found = (self.misfit(c.name, c.arguments) for c in answer.tool_calls if c.kind != "custom")
        return next((f for f in found if f is not None), None)

    def _look(self, name: str, arguments: str) -> str | None:
        meant = [tool for tool in self._tools if tool.name == name]
        if len(meant) != 1 or meant[0].kind != "function" or not meant[0].schema:
            return None
        if not arguments.strip():
            return None
        try:
            value = strict_json(arguments)
        except (ValueError, RecursionError):
            return None
        found = first_break(meant[0].schema, value)
        return f"a call of {name} breaks its schema at {found.rule}" if found else None
