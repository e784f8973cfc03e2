"""Every adapter over files as people have them: put in, looked at, taken out; what the user wrote stays."""

from __future__ import annotations

import os
import stat
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.clients import files, record
from openfusion_auto.clients.install import install, masked, status, uninstall
from openfusion_auto.clients.place import locate
from openfusion_auto.clients.spec import Values, load, names
from openfusion_auto.errors import ConfigError

from .corpus import CORPUS, TOML

VALUES = Values()
BOM = b"\xef\xbb\xbf"
# Files in which something else stands where this client needs a table.
REFUSED = {
    ("qwen-code", label) for label in ("escapes", "same keys", "same keys twice", "already ours")
}
KIND = {name: load(name).targets[0].format for name in names()}


def editable(name):
    """Return the files of the corpus that this client's adapter can edit, by label."""
    return {k: t for k, t in CORPUS[KIND[name]].items() if (name, k) not in REFUSED}


@contextmanager
def labelled(label):
    """Name the file of the corpus that a failure is about."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"corpus: {label}")
        raise


@dataclass
class Box:
    """A client with files and a state folder of its own."""

    name: str
    root: Path

    def __post_init__(self):
        self.adapter = load(self.name)
        self.state = self.root / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.file = self.root / "home" / self.adapter.targets[0].names[0]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.paths = locate(self.adapter, {}, "linux", self.file)

    def install(self, values=VALUES, **more):
        return install(self.adapter, self.paths, values, self.state, **more)

    def uninstall(self, values=VALUES, **more):
        return uninstall(self.adapter, self.paths, values, self.state, **more)

    def states(self, values=VALUES):
        return {s.state for s in status(self.adapter, self.paths, values, self.state)}

    def backups(self):
        return list(self.state.rglob("*.backup"))


@pytest.fixture
def box(tmp_path):
    return lambda name: Box(name, tmp_path)


def there_and_back(box, raw):
    """Install, again, and uninstall; every state on the way."""
    box.file.write_bytes(raw)
    assert "installed" not in box.states() or len(box.paths) > 1
    assert any(o.changed for o in box.install())
    assert box.states() == {"installed"}
    written = box.file.read_bytes()
    assert not any(o.changed for o in box.install())
    assert box.file.read_bytes() == written
    if raw.count(b"\n") == raw.count(b"\r\n") > 0:
        assert written.count(b"\n") == written.count(b"\r\n"), "line ends are as the file has them"
    assert written.startswith(BOM) == raw.startswith(BOM)
    box.uninstall()
    assert box.file.read_bytes() == raw
    assert "installed" not in box.states()
    assert "changed" not in box.states()
    assert box.backups() == []


def test_the_corpus_is_large_enough_and_valid():
    assert min(len(editable(name)) for name in names()) >= 40
    for text in TOML.values():
        tomllib.loads(text)
        tomllib.loads(text.replace("\n", "\r\n"))


@pytest.mark.parametrize("crlf", [False, True], ids=["lf", "crlf"])
@pytest.mark.parametrize("name", names())
def test_uninstall_leaves_the_bytes_that_install_found(tmp_path, name, crlf):
    for number, (label, text) in enumerate(editable(name).items()):
        raw = (text.replace("\n", "\r\n") if crlf else text).encode()
        with labelled(label):
            there_and_back(Box(name, tmp_path / str(number)), BOM + raw if crlf else raw)


@pytest.mark.parametrize(("name", "label"), sorted(REFUSED))
def test_another_kind_of_value_where_a_table_is_needed_is_refused(box, name, label):
    here = box(name)
    raw = CORPUS[KIND[name]][label].encode()
    here.file.write_bytes(raw)
    with pytest.raises(ConfigError, match=r":\d+: 'model' is not a table"):
        here.install()
    assert here.file.read_bytes() == raw


@pytest.mark.parametrize("name", names())
def test_without_the_backup_the_changes_alone_lead_back(tmp_path, name):
    """As after an edit of the user's: the text is not the one that was written, only most of it."""
    for number, (label, text) in enumerate(editable(name).items()):
        here = Box(name, tmp_path / str(number))
        here.file.write_text(text)
        with labelled(label):
            here.install()
            for path in here.backups():
                path.unlink()
            here.uninstall()
            assert here.file.read_text() == text


COMMENT = {"toml": "# added\n", "yaml": "# added\n", "shell": "# added\n", "json": "// added\n"}


@pytest.mark.parametrize("name", names())
def test_what_was_written_around_ours_stays(tmp_path, name):
    """A line in front and one behind: uninstall leaves the file as if only they had been added."""
    line, seen = COMMENT[KIND[name]], 0
    for number, (label, text) in enumerate(editable(name).items()):
        # Not where a line in front means something else, or no line can stand behind.
        if text.startswith(("---", "#:")) or not text.endswith("\n"):
            continue
        if KIND[name] == "json" and not text.strip():
            continue
        here = Box(name, tmp_path / str(number))
        here.file.write_text(text)
        with labelled(label):
            here.install()
            here.file.write_text(line + here.file.read_text() + line)
            assert here.states() == {"installed"}
            here.uninstall()
            assert here.file.read_text() == line + text + line
            seen += 1
    assert seen >= 5


@given(data=st.data())
def test_any_variation_of_the_corpus_comes_back(tmp_path_factory, data):
    name = data.draw(st.sampled_from(names()))
    text = data.draw(st.sampled_from(list(editable(name).values())))
    mark = COMMENT[KIND[name]].partition(" ")[0]
    for _ in range(data.draw(st.integers(0, 3))):
        comment = data.draw(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"])))
        head, line = f"{mark} {comment}\n", data.draw(st.booleans())
        if not text.startswith(("---", "#:")) and text.strip():
            text = head + text if line else text + ("" if text.endswith("\n") else "\n") + head
    if data.draw(st.booleans()):
        text = text.rstrip("\n") if not text.endswith("+\n  one\n\n") else text
    raw = text.encode()
    if data.draw(st.booleans()):
        raw = raw.replace(b"\n", b"\r\n")
    if data.draw(st.booleans()):
        raw = BOM + raw
    there_and_back(Box(name, tmp_path_factory.mktemp("box")), raw)


@pytest.mark.parametrize("name", names())
def test_a_file_that_was_not_there_goes_again_with_its_folders(tmp_path, name):
    adapter = load(name)
    state, file = tmp_path / "state", tmp_path / "new" / "deep" / adapter.targets[0].names[0]
    state.mkdir()
    paths = locate(adapter, {}, "linux", file)
    assert {s.state for s in status(adapter, paths, VALUES, state)} == {"no_file"}
    done = install(adapter, paths, VALUES, state)
    assert all(o.changed and o.backup is None for o in done)
    assert {s.state for s in status(adapter, paths, VALUES, state)} == {"installed"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(o.deleted for o in uninstall(adapter, paths, VALUES, state))
    assert not (tmp_path / "new").exists()
    assert list((state / "adapters").iterdir()) == []


@pytest.mark.parametrize("name", names())
def test_another_model_replaces_the_first_and_the_way_back_stays(box, name):
    here = box(name)
    text = CORPUS[here.adapter.targets[0].format]["usual" if name != "codex" else "model set"]
    here.file.write_text(text)
    here.install()
    other = Values("http://127.0.0.1:9000", "openfusion/fusion", 100_000, 8_000)
    assert any(o.changed for o in here.install(other))
    assert here.states(other) == {"installed"}
    assert here.states() == {"installed"}, "what was installed counts, not what is asked about"
    written = here.file.read_text()
    assert "fusion/fusion" in written
    assert "openfusion/auto" not in written
    assert "127.0.0.1:8787" not in written
    here.uninstall()
    assert here.file.read_text() == text


def test_the_old_value_comes_back_also_after_edits_elsewhere(box):
    here = box("codex")
    here.file.write_text('model = "gpt-5" # good\n\n[tui]\ntheme = "dark"\n')
    here.install()
    edited = here.file.read_text().replace('"dark"', '"light"') + "\n[extra]\nx = 1\n"
    here.file.write_text(edited)
    here.uninstall()
    left = here.file.read_text()
    assert left == 'model = "gpt-5" # good\n\n[tui]\ntheme = "light"\n\n[extra]\nx = 1\n'


def test_what_the_user_set_since_then_is_the_users(box):
    here = box("codex")
    here.file.write_text('model = "gpt-5"\n')
    here.install()
    here.file.write_text(here.file.read_text().replace('"openfusion/auto"', '"gpt-6"'))
    assert here.states() == {"changed"}
    here.uninstall()
    assert tomllib.loads(here.file.read_text()) == {"model": "gpt-6"}


def test_an_edit_inside_our_table_goes_with_it(box):
    here = box("codex")
    here.file.write_text("[tui]\nx = 1\n")
    here.install()
    here.file.write_text(here.file.read_text().replace("8787", "9999"))
    (found,) = status(here.adapter, here.paths, VALUES, here.state)
    assert found.differs == ("model_providers.openfusion.base_url",)
    here.uninstall()
    assert tomllib.loads(here.file.read_text()) == {"tui": {"x": 1}}
    assert "openfusion" not in here.file.read_text()
    assert len(here.backups()) == 1, "not the old bytes: those are kept"


def test_installing_again_mends_what_was_changed(box):
    here = box("opencode")
    here.file.write_text('{"model": "a/b", "theme": "dark"}')
    here.install()
    here.file.write_text(here.file.read_text().replace("8787", "9999"))
    assert here.states() == {"changed"}
    assert any(o.changed for o in here.install())
    assert here.states() == {"installed"}
    here.uninstall()
    assert here.file.read_text() == '{"model": "a/b", "theme": "dark"}'


def test_members_that_others_put_among_ours_stay(box):
    here = box("claude-code")
    here.file.write_text('{"theme": "dark"}\n')
    here.install()
    text = here.file.read_text().replace('"env": {', '"env": {"MINE": "1", ')
    here.file.write_text(text)
    here.uninstall()
    assert here.file.read_text().replace(" ", "") == '{"theme":"dark","env":{"MINE":"1"}}\n'


def test_a_lost_state_folder_still_lets_ours_be_taken_out(box):
    here = box("codex")
    here.file.write_text("[tui]\nx = 1\n")
    here.install()
    for path in (here.state / "adapters").iterdir():
        path.unlink()
    assert here.states() == {"installed"}
    assert here.uninstall()[0].changed
    assert tomllib.loads(here.file.read_text()) == {"tui": {"x": 1}}


def test_installing_after_a_lost_state_folder_does_not_double_anything(box):
    here = box("crush")
    here.file.write_text("option debug true\n")
    here.install()
    for path in (here.state / "adapters").iterdir():
        path.unlink()
    here.install(Values(model="openfusion/fusion"))
    assert here.file.read_text().count(">>>") == 2
    here.uninstall()
    assert here.file.read_text() == "option debug true\n"


def test_uninstalling_what_was_never_installed_changes_nothing(box):
    here = box("codex")
    here.file.write_text('model = "gpt-5"\n')
    assert [o.changed for o in here.uninstall()] == [False]
    here.file.unlink()
    assert [o.changed for o in here.uninstall()] == [False]
    assert not here.file.exists()


def test_a_file_that_the_user_deleted_stays_deleted(box):
    here = box("codex")
    here.file.write_text('model = "gpt-5"\n')
    here.install()
    here.file.unlink()
    assert here.states() == {"no_file"}
    assert [o.changed for o in here.uninstall()] == [False]
    assert not here.file.exists()


def test_a_file_of_ours_in_which_the_user_wrote_is_kept(box):
    here = box("codex")
    here.install()
    here.file.write_text(here.file.read_text() + "[mine]\nx = 1\n")
    here.uninstall()
    assert here.file.read_text().strip() == "[mine]\nx = 1"


BROKEN = {
    "codex": ("a = 1\nmodel = \n", 2),
    "opencode": ('{\n  "a": 1\n  "b": 2\n}\n', 3),
    "aider": ("model: x\n{a: b}\n", 2),
    "crush": ("a\n# <<< openfusion <<<\n", 2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_its_line_and_left(box, name):
    here = box(name)
    text, line = BROKEN[name]
    here.file.write_text(text)
    for act in (here.install, here.uninstall):
        if act == here.uninstall and name in ("codex", "opencode", "aider"):
            here.file.write_text(text)
        with pytest.raises(ConfigError, match="left as it is") as caught:
            act()
        assert caught.value.message.startswith(f"{here.file}:{line}: ")
        assert here.file.read_text() == text
    (found, *_) = status(here.adapter, here.paths, VALUES, here.state)
    assert found.state == "broken"
    assert f":{line}: " in (found.problem or "")
    assert here.backups() == []


def test_bytes_that_are_no_text_are_left(box):
    here = box("codex")
    here.file.write_bytes(b'a = 1\nb = "\xff"\n')
    with pytest.raises(ConfigError, match=r"config\.toml:2: is not UTF-8"):
        here.install()
    assert here.file.read_bytes() == b'a = 1\nb = "\xff"\n'


def test_one_broken_file_of_a_client_keeps_the_others_untouched(box):
    here = box("aider")
    here.paths[1].write_text("{broken")
    with pytest.raises(ConfigError):
        here.install()
    assert not here.file.exists()
    assert here.paths[1].read_text() == "{broken"


def test_a_dry_run_says_all_and_writes_nothing(box):
    here = box("codex")
    here.file.write_text('model = "gpt-5"\n')
    (said,) = here.install(dry_run=True)
    assert said.changed
    assert '+model = "openfusion/auto"' in said.diff
    assert here.file.read_text() == 'model = "gpt-5"\n'
    here.install()
    (said,) = here.uninstall(dry_run=True)
    assert said.changed
    assert '+model = "gpt-5"' in said.diff
    assert here.states() == {"installed"}


def test_a_link_is_followed_and_the_mode_stays(box):
    here = box("codex")
    real = here.root / "dotfiles.toml"
    real.write_text('model = "gpt-5"\n')
    real.chmod(0o640)
    here.file.symlink_to(real)
    here.install()
    assert here.file.is_symlink()
    assert "openfusion" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    here.uninstall()
    assert here.file.is_symlink()
    assert real.read_text() == 'model = "gpt-5"\n'
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_the_backup_holds_the_bytes_from_before_and_is_private(box):
    here = box("codex")
    here.file.write_text('model = "gpt-5"\n')
    (done,) = here.install()
    assert done.backup is not None
    assert done.backup.read_text() == 'model = "gpt-5"\n'
    for path in (here.state / "adapters").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_no_record(box, monkeypatch):
    here = box("codex")
    here.file.write_text('model = "gpt-5"\n')
    write = files.write

    def full(path, data, before):
        if path == here.file:
            raise OSError(28, "No space left on device")
        write(path, data, before)

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(OSError, match="No space"):
        here.install()
    assert record.load(here.state, "codex", here.file) is None
    monkeypatch.undo()
    here.install()
    monkeypatch.setattr(files, "write", full)
    with pytest.raises(OSError, match="No space"):
        here.install(Values(model="openfusion/fusion"))
    monkeypatch.undo()
    assert here.states() == {"installed"}
    here.uninstall()
    assert here.file.read_text() == 'model = "gpt-5"\n'


def test_no_key_of_the_users_is_in_a_difference(box):
    here = box("aider")
    here.file.write_text(
        "openai-api-key: sk-very-secret # mine\nanthropic-api-key: sk-ant-1\nmodel: x\n"
    )
    shown = here.install()[0].diff + here.uninstall()[0].diff
    assert "secret" not in shown
    assert "sk-ant" not in shown
    assert "openai-api-key: ***" in shown


def test_the_name_of_a_variable_is_shown_in_both_directions(box):
    here = box("codex")
    for shown in (here.install()[0].diff, here.uninstall()[0].diff):
        assert 'env_key = "OPENFUSION_API_KEY"' in shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('  "apiKey": "sk-1",', '  "apiKey": "***",'),
        ("auth_token = 'x'", "auth_token = '***'"),
        ("PASSWORD=abc", "PASSWORD=***"),
        ('"apiKey": "{env:OPENFUSION_API_KEY}"', '"apiKey": "{env:OPENFUSION_API_KEY}"'),
        ('env_key = "OPENFUSION_API_KEY"', 'env_key = "OPENFUSION_API_KEY"'),
        ('"h": {"Authorization": "Bearer sk-1 x"}', '"h": {"Authorization": "***"}'),
        ('"--header", "Authorization: Token abc"]', '"--header", "Authorization: ***"]'),
        ('["--header", "X: Bearer abc"]', '["--header", "X: Bearer ***"]'),
        ('"args": ["--api-key", "abc"]', '"args": ["--api-key", "***"]'),
        ("tool --token abc -v", "tool --token *** -v"),
        ('"url": "https://me:abc@h/x"', '"url": "https://***@h/x"'),
        ('"DB_PASS": "a\\"b c", "n": 1', '"DB_PASS": "***", "n": 1'),
        ('  "sk-or-v1-0123456789",', '  "sk-***",'),
        ('env_key = "A", api_key = "b"', 'env_key = "A", api_key = "***"'),
        ('"auth": { "selectedType": "x" }', '"auth": { "selectedType": "x" }'),
        ('--api-key "$OPENFUSION_API_KEY"', '--api-key "$OPENFUSION_API_KEY"'),
        ('bearer_token_env_var = "NAME"', 'bearer_token_env_var = "NAME"'),
        ("model_auto_compact_token_limit = 170000", "model_auto_compact_token_limit = 170000"),
    ],
)
def test_values_of_keys_are_masked_names_are_not(line, shown):
    assert masked(line) == shown


def test_two_runs_at_once_leave_a_whole_file(box):
    if not hasattr(os, "fork"):
        pytest.skip("no flock here")
    here = box("codex")
    here.file.write_text('model = "gpt-5"\n')
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: here.install(), range(8)))
    assert here.states() == {"installed"}
    here.uninstall()
    assert here.file.read_text() == 'model = "gpt-5"\n'
