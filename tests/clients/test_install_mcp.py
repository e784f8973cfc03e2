"""The router's tools in agents' files: alone, beside the router's models in one file, and where agents rewrite it."""

from __future__ import annotations

import itertools
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.clients.install import install, status, uninstall
from openfusion_auto.clients.place import locate
from openfusion_auto.clients.spec import Values, load, names

from .corpus import CORPUS

CLIENTS = names(mcp=True)
TOOLS = Values(command="/opt/a b/openfusion", env=("RELAY_API_KEY",))
MODELS = Values()
# Who has both in one file.
SHARED = ("codex", "opencode")
ORDERS = list(itertools.permutations((False, True)))


class Box:
    """A client's file with a state folder; `mcp` says which part is meant."""

    def __init__(self, name: str, root: Path, text: str | None) -> None:
        self.parts = {mcp: load(name, mcp=mcp) for mcp in (False, True)}
        self.state = root / "state"
        self.state.mkdir(parents=True)
        self.file = root / self.parts[True].targets[0].names[0]
        if text is not None:
            self.file.write_bytes(text.encode())

    def _at(self, mcp):
        adapter = self.parts[mcp]
        paths = locate(adapter, {}, "linux", self.file)
        return adapter, paths, TOOLS if mcp else MODELS, self.state

    def install(self, mcp=True):
        return install(*self._at(mcp))

    def uninstall(self, mcp=True):
        return uninstall(*self._at(mcp))

    def of(self, mcp=True):
        return status(*self._at(mcp))[0].state


def block(name, text):
    """Return what a client reads as our server."""
    data = tomllib.loads(text) if name == "codex" else json.loads(text)
    return data["mcp" if name == "opencode" else "mcp_servers" if name == "codex" else "mcpServers"]


@pytest.mark.parametrize("name", CLIENTS)
def test_the_file_comes_back_to_the_byte(tmp_path, name):
    kind = load(name, mcp=True).targets[0].format
    for number, text in enumerate(CORPUS[kind].values()):
        if number % 4 and name not in ("codex", "claude-code"):
            continue  # of one format: once over all of it is enough
        box = Box(name, tmp_path / str(number), text)
        box.install()
        assert box.of() == "installed"
        assert not any(o.changed for o in box.install())
        box.uninstall()
        assert box.file.read_bytes() == text.encode()
        assert box.of() == "absent"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_file_that_was_not_there_goes_again(tmp_path, name):
    box = Box(name, tmp_path, None)
    box.install()
    ours = block(name, box.file.read_text())["openfusion"]
    said = (
        ours["command"] if isinstance(ours["command"], list) else [ours["command"], *ours["args"]]
    )
    assert said == ["/opt/a b/openfusion", "mcp"]
    box.uninstall()
    assert not box.file.exists()


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize(("into", "out"), list(itertools.product(ORDERS, ORDERS)), ids=str)
def test_models_and_tools_in_one_file_come_and_go_in_any_order(tmp_path, name, into, out):
    kind = load(name).targets[0].format
    for number, text in enumerate(list(CORPUS[kind].values())[::6]):
        box = Box(name, tmp_path / str(number), text)
        box.install(into[0])
        assert box.of(into[1]) == "absent"
        box.install(into[1])
        assert box.of(True) == box.of(False) == "installed"
        box.uninstall(out[0])
        assert box.of(out[1]) == "installed"
        assert box.of(out[0]) == "absent"
        box.uninstall(out[1])
        assert box.file.read_bytes() == text.encode()
        assert list((box.state / "adapters").iterdir()) == []


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("out", ORDERS, ids=str)
def test_a_file_that_both_made_goes_with_the_second(tmp_path, name, out):
    box = Box(name, tmp_path, None)
    box.install(False)
    box.install(True)
    for mcp in out:
        box.uninstall(mcp)
    assert not box.file.exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@given(
    st.dictionaries(st.text(max_size=8).filter(lambda k: k != "mcpServers"), JSON, max_size=5),
    st.data(),
)
def test_an_agent_that_rewrites_its_file_keeps_all_but_ours(tmp_path_factory, state, data):
    """As Claude Code does at each start: other order, other spaces, new members, servers of others."""
    others = data.draw(st.dictionaries(st.sampled_from("abc"), JSON, max_size=2))
    before = {**state, "mcpServers": others} if others else state
    box = Box("claude-code", tmp_path_factory.mktemp("box"), json.dumps(before, indent=2))
    box.install()
    now = json.loads(box.file.read_text())
    assert now["mcpServers"]["openfusion"]["command"] == "/opt/a b/openfusion"
    now["numStartups"] = 7
    now = dict(reversed(now.items()))
    box.file.write_text(json.dumps(now, indent=data.draw(st.sampled_from([None, 2, 4]))))
    assert box.of() == "installed"
    box.uninstall()
    left = json.loads(box.file.read_text())
    wanted = {**before, "numStartups": 7}
    assert left == wanted


def test_a_lost_state_folder_still_lets_the_tools_be_taken_out(tmp_path):
    box = Box("codex", tmp_path, "x = 1\n")
    box.install(False)
    box.install(True)
    for path in box.state.rglob("*.json"):
        path.unlink()
    assert box.of(True) == box.of(False) == "installed"
    box.uninstall(True)
    assert box.of(True) == "absent"
    assert box.of(False) == "installed"


def test_another_program_replaces_the_first(tmp_path):
    box = Box("codex", tmp_path, "x = 1\n")
    box.install()
    adapter, paths, values, state = box._at(True)
    moved = replace(
        values, command="/new/openfusion", args=("mcp", "--server", "http://127.0.0.1:9")
    )
    install(adapter, paths, moved, state)
    ours = block("codex", box.file.read_text())["openfusion"]
    assert (ours["command"], ours["args"][-1]) == ("/new/openfusion", "http://127.0.0.1:9")
    assert ours["env_vars"] == ["RELAY_API_KEY"]
    box.uninstall()
    assert box.file.read_text() == "x = 1\n"


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("out", ORDERS, ids=str)
def test_another_model_under_the_tools_keeps_both_and_the_way_back(tmp_path, name, out):
    text = next(iter(CORPUS[load(name).targets[0].format].values()))
    box = Box(name, tmp_path, text)
    box.install(False)
    box.install(True)
    adapter, paths, values, state = box._at(False)
    (done,) = install(adapter, paths, replace(values, model="openfusion/fusion"), state)
    assert done.changed
    assert "fusion/fusion" in box.file.read_text()
    assert box.of(True) == box.of(False) == "installed"
    for mcp in out:
        (gone,) = box.uninstall(mcp)
        assert not gone.deleted
    assert box.file.read_bytes() == text.encode()


def test_what_the_user_wrote_under_both_stays(tmp_path):
    box = Box("codex", tmp_path, "x = 1\n")
    box.install(False)
    box.install(True)
    box.file.write_text("# mine\n" + box.file.read_text().replace("x = 1", "x = 2"))
    for mcp in (False, True):
        box.uninstall(mcp)
    assert tomllib.loads(box.file.read_text()) == {"x": 2}
    assert "# mine" in box.file.read_text()
    assert ">>>" not in box.file.read_text()
