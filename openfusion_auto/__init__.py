"""A router for coding agents that says why. The public surface; everything else may move.

    from openfusion_auto import State, decide, decision_json, load_pool, parse_request, read

    prompt = parse_request(body)                      # the bytes of a Chat Completions request
    decision = decide(read(prompt), load_pool(path), State())
    print(decision_json(decision))

Names are loaded when they are first used, so that `import openfusion_auto` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openfusion_auto.config.load import shipped_pool
    from openfusion_auto.config.pool import load_pool
    from openfusion_auto.core.classify import read
    from openfusion_auto.core.decide import decide
    from openfusion_auto.core.explain import decision_digest, decision_json
    from openfusion_auto.core.price import LongPrice
    from openfusion_auto.core.prompt import Message, Options, Part, Prompt, Tool, ToolCall, Usage
    from openfusion_auto.core.types import (
        Benchmark,
        Candidate,
        Decision,
        Evidence,
        Needs,
        Performance,
        Plan,
        Policy,
        Pool,
        Preferences,
        Price,
        Rejection,
        Score,
        State,
        Stats,
        Task,
        TaskCost,
        Term,
    )
    from openfusion_auto.errors import FusionError
    from openfusion_auto.upstream.base import Call, Opened, Upstream
    from openfusion_auto.upstream.fake import FakeUpstream
    from openfusion_auto.upstream.reply import Reply
    from openfusion_auto.wire.chat_request import parse_request

__version__ = "0.1.0"  # the same as in pyproject.toml, held by a test

__all__ = [
    "Benchmark",
    "Call",
    "Candidate",
    "Decision",
    "Evidence",
    "FakeUpstream",
    "FusionError",
    "LongPrice",
    "Message",
    "Needs",
    "Opened",
    "Options",
    "Part",
    "Performance",
    "Plan",
    "Policy",
    "Pool",
    "Preferences",
    "Price",
    "Prompt",
    "Rejection",
    "Reply",
    "Score",
    "State",
    "Stats",
    "Task",
    "TaskCost",
    "Term",
    "Tool",
    "ToolCall",
    "Upstream",
    "Usage",
    "__version__",
    "decide",
    "decision_digest",
    "decision_json",
    "load_pool",
    "parse_request",
    "read",
    "shipped_pool",
]

_TYPES = (
    "Benchmark", "Candidate", "Decision", "Evidence", "Needs", "Performance", "Plan", "Policy", "Pool",
    "Preferences", "Price", "Rejection", "Score", "State", "Stats", "Task", "TaskCost", "Term",
)  # fmt: skip
_PROMPT = ("Message", "Options", "Part", "Prompt", "Tool", "ToolCall", "Usage")
# Name -> the module it lives in.
_HOMES = {
    **dict.fromkeys(_TYPES, "core.types"),
    **dict.fromkeys(_PROMPT, "core.prompt"),
    **dict.fromkeys(("decision_digest", "decision_json"), "core.explain"),
    **dict.fromkeys(("Call", "Opened", "Upstream"), "upstream.base"),
    "LongPrice": "core.price",
    "FakeUpstream": "upstream.fake",
    "Reply": "upstream.reply",
    "FusionError": "errors",
    "decide": "core.decide",
    "load_pool": "config.pool",
    "parse_request": "wire.chat_request",
    "read": "core.classify",
    "shipped_pool": "config.load",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
