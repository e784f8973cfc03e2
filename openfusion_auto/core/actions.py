"""What an agent is about to do, read from its tool calls: commands and paths that can hurt.

A task may sound harmless and still end in `git push --force`. The calls since the standing task are searched for a few
commands and places; what is found raises the risk, never lowers it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from openfusion_auto.core.types import Level

MOST_CHARS = 4_000  # [characters] of calls that are looked at, the newest last


class Danger(NamedTuple):
    """A sign in a tool call, how risky it makes the task at least, and what was found."""

    name: str
    risk: Level
    why: str


_WRITTEN: tuple[tuple[str, Level, str], ...] = (
    ("deletes files", "high", r"\brm\s+-(?:[a-z]*r[a-z]*f|[a-z]*f[a-z]*r)[a-z]*\s+(?!\S*(?:node_modules|__pycache__|dist\b|build\b|target\b|\.cache|/tmp/))\S+"),
    ("rewrites history", "high", r"\bgit\s+push\b[^\n|;&]*(?:--force\b|--force-with-lease|\s-f\b|\s\+\S+:)"),
    ("rewrites history", "high", r"\bgit\s+(?:filter-branch|filter-repo)\b"),
    ("changes infrastructure", "high", r"\b(?:terraform|tofu|pulumi)\s+(?:apply|destroy|up)\b"),
    ("changes infrastructure", "high", r"\bkubectl\s+(?:delete|drain|apply|scale)\b|\bhelm\s+(?:upgrade|uninstall|rollback)\b"),
    ("drops data", "high", r"\b(?:drop\s+(?:table|database|schema|index)|truncate\s+(?:table\s+)?\w|delete\s+from\s+\w+\s*(?:;|\"|$))"),
    ("drops data", "high", r"\b(?:flushall|flushdb|mkfs\.\w+|dd\s+if=)"),
    ("changes rights", "high", r"\b(?:chmod\s+(?:-r\s+)?0?777|chown\s+-r|setfacl)\b|\bgrant\s+all\b"),
    ("publishes", "high", r"\b(?:npm|cargo|twine|gem)\s+(?:publish|upload|push)\b|\bgh\s+release\s+create\b"),
    ("access control", "medium", r"[\w/.-]*(?:/auth|/authn|/authz|/permissions?|/acl|/rbac|/oauth|/iam)[\w/.-]*"),
    ("migrations", "medium", r"[\w/.-]*(?:/migrations?/|/alembic/|/flyway/|db/migrate/)[\w/.-]*"),
    ("pipelines", "medium", r"\.github/workflows/|\.gitlab-ci\.yml|jenkinsfile\b|\.circleci/"),
    ("secrets", "high", r"(?:^|[\s\"'/])(?:\.env(?:\.\w+)?|id_rsa|id_ed25519|[\w-]+\.pem|\.netrc|credentials\.json|kubeconfig)\b"),
)  # fmt: skip
_SIGNS = tuple((name, level, re.compile(pattern)) for name, level, pattern in _WRITTEN)


def dangers(calls: str) -> tuple[Danger, ...]:
    """Return the signs in the newest part of a session's tool calls, each name once, the riskiest of it."""
    folded = calls[-MOST_CHARS:].lower()
    found: dict[str, Danger] = {}
    for name, level, pattern in _SIGNS:
        hit = pattern.search(folded)
        if hit is not None and name not in found:
            found[name] = Danger(name, level, " ".join(hit.group(0).split())[:60])
    return tuple(found.values())
