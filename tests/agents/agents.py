"""Coding agents as they come from npm and PyPI: where they are installed, how each is set up, started and judged.

`OPENFUSION_TEST_AGENTS` names the prefix: `npm/` and `aider/` (a virtual environment), made by `install`; `node22/`,
if there is one, goes before the machine's node. Every run has a home and a repository of its own in a temporary folder.
An agent is told of a proxy where nobody listens, so that it reaches this machine only.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tests.agents.play import DONE, FILE, SCRIPTS

PREFIX = "OPENFUSION_TEST_AGENTS"
MODEL = "openfusion/auto"
KEY = "sk-local-test"
TASK = f"Create the file {FILE} in the current directory so that running it prints 42 (nothing else), then say {DONE}."
AGAIN = f"Thanks. Use no tool now, just answer {DONE}."
CONTEXT, OUTPUT = 200_000, 32_000  # [tokens]


class Place(NamedTuple):
    """Where one run happens: the agents' prefix, an own home, a repository, the router's address without `/v1`."""

    prefix: Path
    home: Path
    repo: Path
    url: str


@dataclass(frozen=True)
class Agent(ABC):
    """An agent in one way of using it.

    Attributes:
        package, version: As the registry names them; `program` is the file it installs.
        variant: Wire format, catalogue or edit format.
        scripts: What can be played with it; without tools there is nothing to take several turns for.
        resumes: Whether a session can be resumed without a terminal.
    """

    name: str
    package: str
    version: str
    variant: str = ""
    scripts: tuple[str, ...] = tuple(SCRIPTS)
    resumes: bool = True

    @property
    def label(self) -> str:
        """The name with the variant."""
        return f"{self.name} ({self.variant})" if self.variant else self.name

    def program(self, prefix: Path) -> Path:
        """Return the program's file."""
        return prefix / "npm" / "node_modules" / ".bin" / self.name

    @abstractmethod
    def settle(self, place: Place) -> dict[str, str]:
        """Write the configuration into the home; return what goes into the environment."""

    @abstractmethod
    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return the command for one task, or for a further turn of the same session."""

    def expected(self, script: str) -> list[str]:
        """Return the steps that the upstream must have played, small jobs left out."""
        return [*("+".join(steps) for steps in SCRIPTS[script]), "done"]


class Codex(Agent):
    """Codex over `/v1/responses`; with a catalogue it gets `apply_patch`, a free-text tool."""

    def settle(self, place: Place) -> dict[str, str]:
        """Write config.toml, and the catalogue."""
        folder = place.home / ".codex"
        folder.mkdir()
        catalog = folder / "models.json"
        lines = [f'model = "{MODEL}"', 'model_provider = "openfusion"']
        if self.variant == "catalog":
            catalog.write_text(json.dumps({"models": [CODEX_MODEL]}), encoding="utf-8")
            lines.append(f'model_catalog_json = "{catalog}"')
        (folder / "config.toml").write_text(
            "\n".join(
                [
                    *lines,
                    f"model_context_window = {CONTEXT}",
                    "check_for_update_on_startup = false",
                    "analytics.enabled = false",
                    "features.plugins = false",
                    "[model_providers.openfusion]",
                    'name = "OpenFusion"',
                    f'base_url = "{place.url}/v1"',
                    'env_key = "OPENFUSION_API_KEY"',
                    'wire_api = "responses"',
                    "",
                ]
            ),
            encoding="utf-8",
        )
        return {"CODEX_HOME": str(folder), "OPENFUSION_API_KEY": KEY}

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `codex exec`; its own sandbox is off, for machines without user namespaces."""
        then = ["resume", "--last"] if again else []
        start = [str(self.program(place.prefix)), "exec", "--sandbox", "danger-full-access"]
        return [*start, *then, text]


# The keys without which Codex refuses the catalogue, and the two that bring `apply_patch` and the window.
CODEX_MODEL = {
    "slug": MODEL,
    "display_name": "OpenFusion auto",
    "supported_reasoning_levels": [],
    "shell_type": "unified_exec",
    "visibility": "list",
    "supported_in_api": True,
    "priority": 1,
    "base_instructions": "You are a coding agent that works in the user's terminal.",
    "support_verbosity": False,
    "truncation_policy": {"mode": "tokens", "limit": 10000},
    "experimental_supported_tools": [],
    "supports_parallel_tool_calls": True,
    "context_window": CONTEXT,
    "apply_patch_tool_type": "freeform",
}


class ClaudeCode(Agent):
    """Claude Code over `/v1/messages`, set up by its environment."""

    def program(self, prefix: Path) -> Path:
        """Return the program's file."""
        return prefix / "npm" / "node_modules" / ".bin" / "claude"

    def settle(self, place: Place) -> dict[str, str]:
        """Return the environment; there is no file to write."""
        kinds = ("OPUS", "SONNET", "HAIKU")
        return {
            "ANTHROPIC_BASE_URL": place.url,
            "ANTHROPIC_AUTH_TOKEN": KEY,
            "ANTHROPIC_MODEL": MODEL,
            **{f"ANTHROPIC_DEFAULT_{kind}_MODEL": MODEL for kind in kinds},
            "CLAUDE_CODE_SUBAGENT_MODEL": MODEL,
            "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(CONTEXT),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "2",
            "DISABLE_AUTOUPDATER": "1",
        }

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `claude -p`."""
        allowed = ["--permission-mode", "acceptEdits", "--allowedTools", "Write Edit Read Bash"]
        return [str(self.program(place.prefix)), *(["-c"] if again else []), "-p", text, *allowed]


class OpenCode(Agent):
    """OpenCode; the variant is the library it speaks with, one for each dialect."""

    def settle(self, place: Place) -> dict[str, str]:
        """Write opencode.json."""
        folder = place.home / ".config" / "opencode"
        folder.mkdir(parents=True)
        limit = {"context": CONTEXT, "output": OUTPUT}
        provider = {
            "npm": f"@ai-sdk/{self.variant}",
            "name": "OpenFusion",
            "options": {"baseURL": f"{place.url}/v1", "apiKey": KEY},
            "models": {MODEL: {"name": "OpenFusion auto", "tool_call": True, "limit": limit}},
        }
        settings = {
            "autoupdate": False,
            "share": "disabled",
            "provider": {"openfusion": provider},
            "model": f"openfusion/{MODEL}",
            "small_model": f"openfusion/{MODEL}",
            "permission": {"edit": "allow", "bash": "allow", "webfetch": "deny"},
        }
        (folder / "opencode.json").write_text(json.dumps(settings), encoding="utf-8")
        off = ("AUTOUPDATE", "MODELS_FETCH", "DEFAULT_PLUGINS", "LSP_DOWNLOAD")
        return {f"OPENCODE_DISABLE_{what}": "1" for what in off}

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `opencode run`."""
        start = [str(self.program(place.prefix)), "run", "--auto"]
        return [*start, *(["--continue"] if again else []), "--model", f"openfusion/{MODEL}", text]


class Aider(Agent):
    """Aider over `/v1/chat/completions`, without tools; the variant is its edit format."""

    def program(self, prefix: Path) -> Path:
        """Return the program's file."""
        return prefix / "aider" / "bin" / "aider"

    def settle(self, place: Place) -> dict[str, str]:
        """Write .aider.conf.yml and the model's metadata."""
        metadata = {
            "max_input_tokens": CONTEXT,
            "max_output_tokens": OUTPUT,
            "litellm_provider": "openai",
            "mode": "chat",
        }
        file = place.home / ".aider.model.metadata.json"
        file.write_text(json.dumps({f"openai/{MODEL}": metadata}), encoding="utf-8")
        settings = {
            "model": f"openai/{MODEL}",
            "weak-model": f"openai/{MODEL}",
            "edit-format": self.variant,
            "openai-api-base": f"{place.url}/v1",
            "openai-api-key": KEY,
            "model-metadata-file": str(file),
            "analytics": False,
            "check-update": False,
            "show-release-notes": False,
            "show-model-warnings": False,
            "gitignore": False,
            "pretty": False,
            "yes-always": True,
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
        (place.home / ".aider.conf.yml").write_text(text, encoding="utf-8")
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `aider --message`."""
        then = ["--restore-chat-history"] if again else []
        return [str(self.program(place.prefix)), *then, "--message", text]

    def expected(self, script: str) -> list[str]:
        """Return the one step: an edit in the format of the variant."""
        assert script in self.scripts
        return [f"edit {self.variant}"]


def variants() -> tuple[Agent, ...]:
    """Return every agent in every way it is used here, at the versions that are tested."""
    codex = Codex("codex", "@openai/codex", "0.169.0", "no catalog")
    claude = ClaudeCode("claude-code", "@anthropic-ai/claude-code", "2.1.330")
    opencode = OpenCode("opencode", "opencode-ai", "1.18.33", "openai-compatible")
    aider = Aider("aider", "aider-chat", "0.86.2", "diff", ("simple", "reason"))
    return (
        codex,
        replace(codex, variant="catalog"),
        claude,
        opencode,
        *(replace(opencode, variant=v) for v in ("openai", "anthropic")),
        aider,
        *(replace(aider, variant=v) for v in ("whole", "udiff")),
    )


def packages(agents: Iterable[Agent] = ()) -> tuple[list[str], list[str]]:
    """Return (npm's, PyPI's) names with their versions, as the two installers want them; `variants()` for none."""
    every = tuple(agents) or variants()
    npm = {f"{a.package}@{a.version}" for a in every if not isinstance(a, Aider)}
    pypi = {f"{a.package}=={a.version}" for a in every if isinstance(a, Aider)}
    return sorted(npm), sorted(pypi)


def install(prefix: Path | str, agents: Iterable[Agent] = ()) -> None:
    """Install agents under the prefix; `variants()` when none is named.

    Raises:
        subprocess.CalledProcessError: An installer failed; it said why.
    """
    prefix = Path(prefix).resolve()
    npm, pypi = packages(agents)
    if npm:
        target = ["--prefix", str(prefix / "npm")]
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", *target, *npm], check=True
        )
    if not pypi:
        return
    own = prefix / "aider"
    subprocess.run([python_for_aider(), "-m", "venv", str(own)], check=True)
    subprocess.run([str(own / "bin" / "pip"), "install", "--quiet", *pypi], check=True)


def python_for_aider() -> str:
    """Return an interpreter that aider installs on: 3.10 to 3.12, says its package.

    Raises:
        FileNotFoundError: This machine has a newer one only.
    """
    if sys.version_info < (3, 13):
        return sys.executable
    found = next(filter(None, map(shutil.which, ("python3.12", "python3.11", "python3.10"))), None)
    if found is None:
        raise FileNotFoundError("aider needs Python 3.10 to 3.12 beside this one")
    return found
