"""Where files are, by system and by the variables that clients read."""

from __future__ import annotations

from pathlib import Path

import pytest

from openfusion_auto.clients import place
from openfusion_auto.clients.place import current_system, home, locate
from openfusion_auto.clients.spec import load, names
from openfusion_auto.errors import ConfigError

HOME = {"HOME": "/h"}
USUAL = {
    "aider": ["/h/.aider.conf.yml", "/h/.aider.model.metadata.json"],
    "claude-code": ["/h/.claude/settings.json"],
    "cline": ["/h/.cline/data/settings/providers.json"],
    "codex": ["/h/.codex/config.toml"],
    "continue": ["/h/.continue/config.yaml"],
    "crush": ["/h/.config/crush/crushrc"],
    "goose": ["/h/.config/goose/custom_providers/openfusion.json"],
    "kilo": ["/h/.config/kilo/kilo.json"],
    "opencode": ["/h/.config/opencode/opencode.json"],
    "pi": ["/h/.pi/agent/models.json"],
    "qwen-code": ["/h/.qwen/settings.json"],
}
ELSEWHERE = {
    ("goose", "windows"): ["/h/AppData/Roaming/Block/goose/config/custom_providers/openfusion.json"]
}


@pytest.mark.parametrize("on", ["linux", "macos", "windows"])
@pytest.mark.parametrize("name", [n for n in names() if n != "litellm"])
def test_the_usual_place_is_known_on_every_system(name, on):
    assert [p.as_posix() for p in locate(load(name), HOME, on)] == ELSEWHERE.get(
        (name, on), USUAL[name]
    )


TOOLS = {
    "claude-code": "/h/.claude.json",
    "cline": "/h/.cline/data/settings/cline_mcp_settings.json",
    "codex": "/h/.codex/config.toml",
    "opencode": "/h/.config/opencode/opencode.json",
}


@pytest.mark.parametrize("on", ["linux", "macos", "windows"])
@pytest.mark.parametrize("name", names(mcp=True))
def test_the_usual_place_of_the_tools_is_known_too(name, on):
    assert [p.as_posix() for p in locate(load(name, mcp=True), HOME, on)] == [TOOLS[name]]


@pytest.mark.parametrize(
    ("name", "env", "path"),
    [
        ("codex", {"CODEX_HOME": "/c"}, "/c/config.toml"),
        ("claude-code", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
        ("opencode", {"OPENCODE_CONFIG": "/o/mine.json"}, "/o/mine.json"),
        ("cline", {"CLINE_DIR": "/c"}, "/c/data/settings/cline_mcp_settings.json"),
        ("cline", {"CLINE_MCP_SETTINGS_PATH": "/s.json", "CLINE_DIR": "/c"}, "/s.json"),
    ],
)
def test_the_clients_own_variables_move_the_tools(name, env, path):
    assert locate(load(name, mcp=True), {**HOME, **env}, "linux")[0].as_posix() == path


@pytest.mark.parametrize(
    ("name", "env", "path"),
    [
        ("codex", {"CODEX_HOME": "/c"}, "/c/config.toml"),
        ("claude-code", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/settings.json"),
        ("opencode", {"XDG_CONFIG_HOME": "/x"}, "/x/opencode/opencode.json"),
        ("opencode", {"OPENCODE_CONFIG": "/o/mine.json", "XDG_CONFIG_HOME": "/x"}, "/o/mine.json"),
        ("cline", {"CLINE_DIR": "/c"}, "/c/data/settings/providers.json"),
        ("cline", {"CLINE_DATA_DIR": "/d", "CLINE_DIR": "/c"}, "/d/settings/providers.json"),
        ("pi", {"PI_CODING_AGENT_DIR": "/p"}, "/p/models.json"),
        ("crush", {"XDG_CONFIG_HOME": "/x"}, "/x/crush/crushrc"),
        ("codex", {"CODEX_HOME": ""}, "/h/.codex/config.toml"),
    ],
)
def test_the_clients_own_variables_move_it(name, env, path):
    assert locate(load(name), {**HOME, **env}, "linux")[0].as_posix() == path


def test_a_named_file_counts_and_others_stand_beside_it(tmp_path):
    found = locate(load("aider"), HOME, "linux", tmp_path / "my.yml")
    assert found == (tmp_path / "my.yml", tmp_path / ".aider.model.metadata.json")


def test_a_relative_file_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert locate(load("codex"), HOME, "linux", Path("c.toml")) == (tmp_path / "c.toml",)


def test_of_several_names_the_one_that_exists_is_meant(tmp_path):
    folder = tmp_path / ".config" / "opencode"
    folder.mkdir(parents=True)
    env = {"HOME": str(tmp_path)}
    assert locate(load("opencode"), env, "linux") == (folder / "opencode.json",)
    (folder / "opencode.jsonc").write_text("{}")
    assert locate(load("opencode"), env, "linux") == (folder / "opencode.jsonc",)
    (folder / "opencode.json").write_text("{}")
    assert locate(load("opencode"), env, "linux") == (folder / "opencode.json",)


def test_a_client_without_a_usual_place_asks_for_the_file(tmp_path):
    with pytest.raises(ConfigError, match="--file"):
        locate(load("litellm"), HOME, "linux")
    assert locate(load("litellm"), HOME, "linux", tmp_path / "c.yaml") == (tmp_path / "c.yaml",)


def test_the_system_and_the_home_are_those_of_the_process(monkeypatch):
    for platform, name in (
        ("win32", "windows"),
        ("darwin", "macos"),
        ("linux", "linux"),
        ("freebsd14", "linux"),
    ):
        monkeypatch.setattr(place.sys, "platform", platform)
        assert current_system() == name
    monkeypatch.setattr(place.sys, "platform", "win32")
    assert home({"USERPROFILE": "/u", "HOME": "/h"}) == Path("/u")
    monkeypatch.setattr(place.sys, "platform", "linux")
    assert home({"USERPROFILE": "/u", "HOME": "/h"}) == Path("/h")
    assert home({}) == Path.home()
