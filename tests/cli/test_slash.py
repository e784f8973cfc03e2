"""The commands of a chat, one by one."""

import json
import stat

import click
import pytest

from openfusion_auto.cli import give_key, slash
from openfusion_auto.cli.common import load_settings
from openfusion_auto.config import given
from openfusion_auto.errors import ConfigError
from openfusion_auto.upstream.reply import Reply

ARGS = ("chat", "--model", "coder-a")


def test_what_is_a_command_and_what_is_a_question():
    for line in (
        "/",
        "/nope",
        "/help",
        "/preset fast",
        "/models a/b",
        "/save my file.md",
        "/model coder-a",
        "/keys X",
    ):
        assert slash.is_command(line), line
    for line in (
        "",
        "/etc/hosts is broken",
        "/tmp is full",
        "/nope x",
        "why",
        "a /why",
        "/hosts x",
        "models a",
    ):
        assert not slash.is_command(line), line


def test_help_says_every_command(run, configured):
    said = run("chat", stdin="/help\n").err
    for name in (*slash.COMMANDS, "/exit"):
        assert f"\n{name} " in said


@pytest.mark.parametrize(("line", "near"), [("/model fast-b", "/models"), ("/prest fast", "/preset"), ("/exti", "/exit")])  # fmt: skip
def test_a_slip_of_a_command_goes_to_no_model_and_names_the_nearest(run, configured, scripted, line, near):  # fmt: skip
    fake = scripted([Reply("a")])
    done = run(*ARGS, stdin=f"{line}\n")
    assert (done.out, fake.calls) == ("", [])
    assert f"there is no command {line.split()[0]}. Did you mean {near}?" in done.err


def test_a_preset_goes_with_every_later_turn_until_it_is_off(run, configured, scripted):
    scripted([Reply("a")] * 3)
    done = run(
        "chat", "--json", stdin="/preset nope\n/preset budget\none\n/preset\n/preset off\ntwo\n"
    )
    modes = [json.loads(line)["openfusion"]["mode"] for line in done.out.splitlines()]
    assert modes[0] == "panel" != modes[1]
    assert "there is no preset 'nope': quality, budget, fast, off" in done.err
    assert done.err.count("preset: budget") == 2


def test_another_model_can_be_asked_and_an_unknown_one_is_said(run, configured, scripted):
    fake = scripted([Reply("a"), Reply("b")])
    done = run(*ARGS, stdin="one\n/models coder-b\n/models\n/models fast-b\ntwo\n")
    assert [json.loads(c.body)["model"] for c in fake.calls] == ["vendor/coder", "vendor/fast"]
    assert "Did you mean coder-a" in done.err
    assert "asked is coder-a;" in done.err
    assert "openfusion/fusion" in done.out


def test_a_model_of_ones_own_can_be_asked(run, configured, scripted):
    configured(more='[[models]]\nname = "mine"\ncandidates = ["coder-a"]\n')
    scripted([Reply("a")] * 4)
    assert "asked is mine from now on" in run("chat", stdin="/models mine\n").err


def test_tokens_are_told_for_each_model(run, configured, scripted):
    scripted([Reply("a"), Reply("b"), Reply("c")])
    done = run(*ARGS, stdin="/tokens\none\ntwo\n/models fast-b\nthree\n/tokens\n")
    assert "no tokens have been used yet" in done.err
    rows = [line.split() for line in done.out.splitlines() if line.startswith("vendor/")]
    assert [(row[0], row[1]) for row in rows] == [("vendor/coder", "2"), ("vendor/fast", "1")]
    assert all(int(cell.lstrip("~").replace(",", "")) >= 0 for row in rows for cell in row[2:])


def test_a_conversation_is_saved_once_and_for_its_owner(run, configured, scripted, folder):
    scripted([Reply("a\x1b[2J **b**"), Reply("c")])
    done = run(*ARGS, stdin="/save x.md\none\n/save x.md\n/save x.md\n/save no/x.md\n")
    assert "nothing has been said yet" in done.err
    assert "2 messages in x.md" in done.err
    assert "x.md: File exists; nothing was written" in done.err
    assert "no/x.md: No such file" in done.err
    saved = folder / "x.md"
    assert saved.read_text() == "## user\n\none\n\n## assistant\n\na[2J **b**\n"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    run(*ARGS, stdin="one\n/save\n")
    assert len(list(folder.glob("openfusion-chat-*.md"))) == 1


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x.md", "a\0b"])
def test_a_name_that_no_file_can_have_is_said(run, configured, scripted, name):
    scripted([Reply("a"), Reply("b")])
    done = run(*ARGS, stdin=f"one\n/save {name}\ntwo\n")
    assert done.out == "a\nb\n"
    assert "; nothing was written" in done.err


def test_half_a_pair_is_saved_as_what_it_is_not(run, configured, scripted, folder):
    scripted([Reply("a\ud83d")])
    run(*ARGS, stdin="one\n/save x.md\n")
    assert (folder / "x.md").read_text().endswith("\n\na?\n")


def test_what_cannot_be_written_whole_leaves_nothing(folder, monkeypatch):
    with pytest.raises(TypeError):
        slash.write_new(folder / "x.md", None)
    assert not (folder / "x.md").exists()


@pytest.fixture
def person(monkeypatch):
    monkeypatch.setattr(given, "system_keyring", lambda: None)
    monkeypatch.setattr(give_key, "can_ask", lambda: True)
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "sk-typed")


def test_a_key_is_used_from_the_next_turn_on_and_the_conversation_goes_on(
    run, configured, scripted, person, monkeypatch
):
    fake = scripted([Reply("a"), Reply("b")])
    monkeypatch.delenv("RELAY_API_KEY")
    done = run(*ARGS, stdin="/key\none\n/key RELAY_API_KEY\n/key\ntwo\n/cost\n")
    assert "RELAY_API_KEY  upstream relay: not set" in done.err
    assert "RELAY_API_KEY  upstream relay: given-keys.json in the state folder" in done.err
    assert [len(json.loads(c.body)["messages"]) for c in fake.calls] == [1, 3]
    assert "for 2 turns" in done.err
    assert load_settings(None).key("relay") == "sk-typed"


def test_a_key_can_be_forgotten(run, configured, person):
    done = run(
        "chat",
        stdin="/key RELAY_API_KEY forget\n/key RELAY_API_KEY\n/key RELAY_API_KEY forget\n/key\n",
    )
    assert "RELAY_API_KEY: none was typed in" in done.err
    assert "RELAY_API_KEY: forgotten" in done.err
    assert done.err.count("not set") >= 1
    assert load_settings(None).key("relay") is None


@pytest.mark.parametrize("line", ["/key sk-typed-here", "/key RELAY_API_KEY sk-typed-here"])
def test_a_key_that_is_typed_into_the_line_is_neither_taken_nor_quoted(
    run, configured, person, line
):
    done = run("chat", stdin=line + "\n")
    assert "/key takes the name of a variable (RELAY_API_KEY)" in done.err
    assert "sk-typed-here" not in done.err + done.out


def test_who_does_not_want_to_give_a_key_goes_on_talking(run, configured, person, monkeypatch):
    def leave(*_, **__):
        raise click.Abort

    monkeypatch.setattr(click, "prompt", leave)
    assert run("chat", stdin="/key RELAY_API_KEY\n/help\n").code == 0


def test_a_configuration_that_broke_meanwhile_changes_nothing(
    run, configured, scripted, person, folder, monkeypatch
):
    scripted([Reply("a")])
    real = give_key.ask

    def ask_and_break(*args):
        (folder / "openfusion.toml").write_text("nonsense = [")
        return real(*args)

    monkeypatch.setattr(give_key, "ask", ask_and_break)
    done = run(*ARGS, stdin="/key RELAY_API_KEY\none\n")
    assert done.out == "a\n"
    assert "the configuration stays as it was" in done.err


def test_a_key_that_cannot_be_kept_is_said_and_the_conversation_goes_on(
    run, configured, scripted, person, monkeypatch
):
    scripted([Reply("a"), Reply("b")])

    def fail(*_):
        raise ConfigError("given-keys.json: cannot be written (Read-only file system)")

    monkeypatch.setattr(given, "give", fail)
    done = run(*ARGS, stdin="one\n/key RELAY_API_KEY\ntwo\n")
    assert done.out == "a\nb\n"
    assert "cannot be written" in done.err
    assert done.code == 0
