"""The adapters as data: complete, filled, and safe to fill."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from openfusion_auto.clients import spec
from openfusion_auto.clients.spec import Values, checked, load, names, windows
from openfusion_auto.errors import ConfigError
from tests.support.pools import candidate, pool

ALL = (
    "aider", "claude-code", "cline", "codex", "continue", "crush", "goose", "kilo", "litellm", "opencode", "pi",
    "qwen-code",
)  # fmt: skip


def test_there_is_an_adapter_for_each_client():
    assert names() == ALL


@pytest.mark.parametrize("name", ALL)
def test_an_adapter_is_complete(name):
    adapter = load(name)
    assert adapter.name == name
    assert adapter.surface in ("chat", "responses", "messages")
    assert bool(adapter.tested) == bool(re.fullmatch(r"20\d\d-\d\d-\d\d", adapter.tested_on))
    assert adapter.start
    assert all(note.endswith(".") for note in adapter.notes)
    assert set(adapter.folders) in ({"linux", "macos", "windows"}, set())
    for target in adapter.targets:
        shown = target.snippet(Values("http://127.0.0.1:1", "m/x", 1234, 567))
        assert "{{" not in shown
        assert "m/x" in shown
        assert "openfusion/auto" not in shown
        if "{{url}}" in target.template:
            assert "http://127.0.0.1:1" in shown


# Cline's file has no place for it.
@pytest.mark.parametrize("name", [n for n in ALL if n != "cline"])
def test_a_client_is_told_the_window_so_that_it_compacts_in_time(name):
    shown = "".join(t.snippet(Values(context=123_456)) for t in load(name).targets)
    assert "123456" in shown


def test_codex_speaks_responses_and_waits_for_a_panel():
    made = tomllib.loads(load("codex").targets[0].snippet(Values()))
    assert made["model"] == "openfusion/auto"
    assert made["model_auto_compact_token_limit"] == 170_000
    provider = made["model_providers"]["openfusion"]
    assert provider["base_url"] == "http://127.0.0.1:8787/v1"
    assert provider["wire_api"] == "responses"
    assert provider["env_key"] == "OPENFUSION_API_KEY"
    assert provider["stream_idle_timeout_ms"] == 600_000


def test_claude_code_gets_the_root_address_and_text_values():
    env = json.loads(load("claude-code").targets[0].snippet(Values()))["env"]
    assert env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8787"
    assert all(isinstance(value, str) for value in env.values())
    assert "ANTHROPIC_API_KEY" not in env


def test_claude_codes_menu_holds_nothing_that_the_router_lacks():
    """Fable too: without it the menu offers its maker's; without 1M off, its Default takes the window for a million."""
    env = json.loads(load("claude-code").targets[0].snippet(Values()))["env"]
    families = {k: v for k, v in env.items() if re.fullmatch(r"ANTHROPIC_DEFAULT_[A-Z]+_MODEL", k)}
    assert families.keys() == {
        f"ANTHROPIC_DEFAULT_{name}_MODEL" for name in ("FABLE", "OPUS", "SONNET", "HAIKU")
    }
    assert set(families.values()) == {"openfusion/auto"}
    assert env["ANTHROPIC_CUSTOM_MODEL_OPTION"] == "openfusion/fusion"
    assert env["CLAUDE_CODE_DISABLE_1M_CONTEXT"] == "1"


@pytest.mark.parametrize("images", [True, False])
def test_a_client_is_told_whether_images_are_seen(images):
    values = Values(images=images)
    made = json.loads(load("opencode").targets[0].snippet(values))
    model = made["provider"]["openfusion"]["models"]["openfusion/auto"]
    seen = ["text", "image"] if images else ["text"]
    assert (model["attachment"], model["modalities"]["input"]) == (images, seen)
    made = json.loads(load("pi").targets[0].snippet(values))
    assert made["providers"]["openfusion"]["models"][0]["input"] == seen
    made = json.loads(load("aider").targets[1].snippet(values))
    assert made["openai/openfusion/auto"]["supports_vision"] is images


def test_one_model_behind_a_name_that_sees_images_is_enough():
    blind = candidate("blind", offers=("tools",), roles=("fast",))
    both = pool(blind, candidate("eye"))
    assert spec.sees_images(both, "openfusion/auto")
    assert not spec.sees_images(both, "openfusion/fast")
    assert not spec.sees_images(pool(blind), "openfusion/auto")


def test_opencode_names_provider_and_model():
    made = json.loads(load("opencode").targets[0].snippet(Values()))
    assert made["model"] == made["small_model"] == "openfusion/openfusion/auto"
    limit = made["provider"]["openfusion"]["models"]["openfusion/auto"]["limit"]
    assert limit == {"context": 200_000, "output": 32_000}


@pytest.mark.parametrize("name", spec.names(mcp=True))
def test_the_tools_of_a_client_are_a_program_that_it_starts(name):
    adapter = load(name, mcp=True)
    assert (adapter.client, adapter.mcp, adapter.surface) == (name, True, "mcp")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", adapter.tested_on)
    assert all(note.endswith(".") for note in adapter.notes)
    (target,) = adapter.targets
    assert not target.names_model
    odd = 'C:/Program "Files"/é\\openfusion'
    shown = target.snippet(Values(command=odd, args=("mcp", "--server", "http://127.0.0.1:1")))
    assert "{{" not in shown
    made = tomllib.loads(shown) if target.format == "toml" else json.loads(shown)
    ((_, servers),) = made.items()
    ours = servers["openfusion"]
    command = ours["command"] if name == "opencode" else [ours["command"], *ours["args"]]
    assert command == [odd, "mcp", "--server", "http://127.0.0.1:1"]
    with pytest.raises(ConfigError, match="cannot be written"):
        target.data(Values(command="a\nb"))


def test_models_and_tools_of_a_client_know_each_other():
    models = load("codex")
    tools = spec.sibling(models)
    assert tools == load("codex", mcp=True)
    assert spec.sibling(tools) == models
    assert spec.sibling(load("aider")) is None


def test_a_client_without_tools_names_those_with():
    with pytest.raises(
        ConfigError, match=r"tools for 'aider'\. All: claude-code, cline, codex, open"
    ):
        load("aider", mcp=True)
    with pytest.raises(ConfigError, match="Did you mean 'codex'"):
        load("codx", mcp=True)
    with pytest.raises(ConfigError, match="there is no adapter"):
        load("codex-mcp")  # a folder's name, no client's


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://127.0.0.1:8787/", "http://127.0.0.1:8787"),
        ("http://127.0.0.1:8787/v1", "http://127.0.0.1:8787"),
        ("http://127.0.0.1:8787/v1/", "http://127.0.0.1:8787"),
        ("https://router.example/team", "https://router.example/team"),
        ("http://[::1]:8787/v1", "http://[::1]:8787"),
    ],
)
def test_the_address_may_end_in_v1_or_not(given, url):
    assert checked(given, "m").url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8787",
        "ftp://x",
        "http://",
        "http://a b",
        'http://a"b',
        "http://a$(x)",
        "http://a:99999999",
        "http://a\n",
        "http://a'#",
    ],
)
def test_an_address_that_means_something_in_a_format_is_refused(url):
    with pytest.raises(ConfigError, match="--url"):
        checked(url, "m")


@pytest.mark.parametrize(
    "model", ["", "a b", 'a"', "a'", "a#", "$(x)", "a\n", "-x", "a`b`", "größe", "a{{url}}"]
)
def test_a_name_that_means_something_in_a_format_is_refused(model):
    with pytest.raises(ConfigError, match="--model"):
        checked("http://a", model)


def test_an_unknown_client_names_the_nearest_and_all():
    with pytest.raises(ConfigError, match=r"Did you mean 'codex'\? All: aider, ") as caught:
        load("coedx")
    with pytest.raises(ConfigError, match=r"'zzz'\. All: "):
        load("zzz")
    assert caught.value.scope == "operator"
    for odd in ("../adapters/codex", "", "Codex", "codex/"):
        with pytest.raises(ConfigError, match="there is no adapter"):
            load(odd)


def test_data_of_another_schema_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "adapters" / "x"
    folder.mkdir(parents=True)
    (folder / "adapter.toml").write_text("schema = 2\n")
    monkeypatch.setattr(spec, "data_root", lambda: tmp_path)
    with pytest.raises(ConfigError, match="schema must be 1"):
        load("x")


def test_the_window_behind_a_name_is_the_smallest_of_those_that_may_answer_it():
    models = pool(
        candidate("big", roles=("coder",), context_tokens=400_000, max_output_tokens=9_000),
        candidate("small", roles=("writer",), context_tokens=50_000, max_output_tokens=None),
        candidate("v", roles=("embedding",), context_tokens=8_000, max_output_tokens=1),
    )
    assert windows(models, "openfusion/auto") == (50_000, 9_000)
    assert windows(models, "openfusion/coder") == (400_000, 9_000)
    assert windows(models, "openfusion/writer") == (50_000, None)
    assert windows(models, "v") == (8_000, 1)
