"""The agents beyond the four that every change is tested with: Cline, Continue, Qwen Code, pi and Goose.

`python -m tests.agents.matrix --install --agents cline continue qwen-code pi goose` installs and runs them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.agents.agents import CONTEXT, KEY, MODEL, OUTPUT, Agent, Place, variants

SECRET = "OPENFUSION_API_KEY"


def write_json(file: Path, value: object) -> None:
    """Write a configuration, its folders too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


class Cline(Agent):
    """Cline's command line over `/v1/chat/completions`; leaves a daemon running, which the place ends.

    It resumes with `--id` in a terminal only: "interactive mode requires a TTY".
    """

    def settle(self, place: Place) -> dict[str, str]:
        """Write providers.json, as `cline auth` does."""
        kind = "openai-compatible"
        settings = {"provider": kind, "apiKey": KEY, "model": MODEL, "baseUrl": f"{place.url}/v1"}
        # Without these two the file is passed over in silence, and the address is the default one.
        entry = {
            "settings": settings,
            "updatedAt": "2026-11-01T00:00:00.000Z",
            "tokenSource": "manual",
        }
        value = {"version": 1, "lastUsedProvider": kind, "modes": {}, "providers": {kind: entry}}
        write_json(place.home / ".cline" / "data" / "settings" / "providers.json", value)
        return {}

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `cline`, with the provider named: it takes its maker's otherwise."""
        assert not again
        start = [str(self.program(place.prefix)), "--auto-approve", "true"]
        return [*start, "--provider", "openai-compatible", "--model", MODEL, text]


class Continue(Agent):
    """Continue's command line, `cn`, over `/v1/chat/completions`."""

    def program(self, prefix: Path) -> Path:
        """Return the program's file."""
        return prefix / "npm" / "node_modules" / ".bin" / "cn"

    def settle(self, place: Place) -> dict[str, str]:
        """Write config.yaml, as JSON, which is YAML; unknown models get tools by `capabilities` only."""
        model = {
            "name": "OpenFusion auto",
            "provider": "openai",
            "model": MODEL,
            "apiBase": f"{place.url}/v1",
            "apiKey": KEY,
            "roles": ["chat", "edit", "apply", "summarize"],
            "capabilities": ["tool_use"],
            "defaultCompletionOptions": {"contextLength": CONTEXT, "maxTokens": OUTPUT},
        }
        value = {"name": "openfusion", "version": "0.0.1", "schema": "v1", "models": [model]}
        write_json(self.file(place), value)
        return {}

    def file(self, place: Place) -> Path:
        """Return where the configuration stands."""
        return place.home / ".continue" / "config.yaml"

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `cn -p`."""
        start = [str(self.program(place.prefix)), "-p", "--auto", "--config", str(self.file(place))]
        return [*start, *(["--resume"] if again else []), text]


class QwenCode(Agent):
    """Qwen Code; the variant is the dialect it speaks, Anthropic's with an address that lacks `/v1`."""

    def program(self, prefix: Path) -> Path:
        """Return the program's file."""
        return prefix / "npm" / "node_modules" / ".bin" / "qwen"

    def settle(self, place: Place) -> dict[str, str]:
        """Write settings.json."""
        group = "anthropic" if self.variant == "anthropic" else "openai"
        model = {
            "id": MODEL,
            "name": "OpenFusion auto",
            "baseUrl": place.url if group == "anthropic" else f"{place.url}/v1",
            "envKey": SECRET,
            "generationConfig": {"contextWindowSize": CONTEXT},
            **({"wireApi": "responses"} if self.variant == "openai-responses" else {}),
        }
        value = {
            "modelProviders": {group: [model]},
            "security": {"auth": {"selectedType": group}},
            "model": {"name": MODEL},
            "general": {"enableAutoUpdate": False},
            "privacy": {"usageStatisticsEnabled": False},
        }
        write_json(place.home / ".qwen" / "settings.json", value)
        return {SECRET: KEY}

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `qwen`, with every action approved."""
        start = [str(self.program(place.prefix)), "--yolo"]
        return [*start, *(["--continue"] if again else []), text]


class Pi(Agent):
    """pi; the variant is the dialect it speaks, Anthropic's with an address that lacks `/v1`."""

    def settle(self, place: Place) -> dict[str, str]:
        """Write models.json."""
        model = {
            "id": MODEL,
            "name": "OpenFusion auto",
            "reasoning": False,
            "input": ["text"],
            "contextWindow": CONTEXT,
            "maxTokens": OUTPUT,
            "cost": dict.fromkeys(("input", "output", "cacheRead", "cacheWrite"), 0),
        }
        provider = {
            "baseUrl": place.url if self.variant.startswith("anthropic") else f"{place.url}/v1",
            "api": self.variant,
            "apiKey": SECRET,
            "models": [model],
        }
        file = place.home / ".pi" / "agent" / "models.json"
        write_json(file, {"providers": {"openfusion": provider}})
        return {SECRET: KEY, "PI_OFFLINE": "1"}

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `pi -p`."""
        start = [str(self.program(place.prefix)), "-p", "--provider", "openfusion"]
        return [*start, "--model", MODEL, *(["--continue"] if again else []), text]


class Goose(Agent):
    """Goose over `/v1/chat/completions`; it ends with exit code 0 after an error too, the play shows it."""

    def settle(self, place: Place) -> dict[str, str]:
        """Write a provider of its own."""
        value = {
            "name": "openfusion",
            "engine": "openai",
            "display_name": "OpenFusion",
            "description": "a router on this machine",
            "api_key_env": SECRET,
            "base_url": f"{place.url}/v1/chat/completions",
            "models": [{"name": MODEL, "context_limit": CONTEXT}],
            "supports_streaming": True,
        }
        folder = place.home / ".config" / "goose" / "custom_providers"
        write_json(folder / "openfusion.json", value)
        return {SECRET: KEY, "GOOSE_MODE": "auto", "GOOSE_DISABLE_KEYRING": "1"}

    def command(self, place: Place, text: str, *, again: bool) -> list[str]:
        """Return `goose run`."""
        start = [str(self.program(place.prefix)), "run", "--provider", "openfusion"]
        then = ["--resume"] if again else []
        return [*start, "--model", MODEL, "--with-builtin", "developer", *then, "-t", text]


def more() -> tuple[Agent, ...]:
    """Return the agents of this module in every way they are used here, at the versions that are tested."""
    qwen = QwenCode("qwen-code", "@qwen-code/qwen-code", "0.24.4", "openai")
    pi = Pi("pi", "@mariozechner/pi-coding-agent", "0.73.1", "openai-completions")
    return (
        Cline("cline", "cline", "3.0.65", resumes=False),
        Continue("continue", "@continuedev/cli", "1.5.47"),
        qwen,
        *(replace(qwen, variant=v) for v in ("openai-responses", "anthropic")),
        pi,
        *(replace(pi, variant=v) for v in ("openai-responses", "anthropic-messages")),
        Goose(
            "goose", "@aaif/goose", "0.20.1"
        ),  # the package's own number; its program says 1.34.0
    )


def everyone() -> tuple[Agent, ...]:
    """Return every agent there is a setting for: the four of the short form first."""
    return (*variants(), *more())
