"""`openfusion codex`: the switch. `tests/clients` has every way to write a TOML file."""

import tomllib

import pytest

from openfusion_auto.cli.codex import mode_of
from tests.clients.corpus import TOML

OLD = '# mine\nmodel = "gpt-5" # good\nmodel_provider = "openai"\n'


@pytest.fixture
def file(folder, monkeypatch):
    """Codex's configuration file in a home of its own."""
    monkeypatch.delenv("CODEX_HOME", raising=False)
    monkeypatch.setenv("HOME", str(folder / "home"))
    path = folder / "home" / ".codex" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(OLD)
    return path


def status(run):
    return run("codex", "status", "--json").json


def test_the_switch_goes_through_all_its_places_and_back(run, file):
    assert status(run)["mode"] == "direct"
    for command, model, mode in (
        (["enable-auto"], "openfusion/auto", "openfusion-auto"),
        (["enable-fusion"], "openfusion/fusion", "openfusion-fusion"),
        (["use-role", "coder"], "openfusion/coder", "openfusion-role"),
        (["enable-auto"], "openfusion/auto", "openfusion-auto"),
    ):
        done = run("codex", *command)
        assert done.code == 0
        now = status(run)
        assert (now["mode"], now["model"], now["enabled"]) == (mode, model, True)
        assert now["provider"] == "openfusion"
        assert tomllib.loads(file.read_text())["model"] == model
        assert run("codex", *command, "--json").json["changed"] is False
    assert run("codex", "disable").code == 0
    assert file.read_text() == OLD
    assert status(run)["mode"] == "direct"
    assert run("codex", "disable", "--json").json["changed"] is False


def test_who_looks_or_undoes_need_not_know_the_port(run, file, folder):
    (folder / "openfusion.toml").write_text("[server]\nport = 0\n")
    assert status(run)["mode"] == "direct"
    assert run("codex", "enable-auto").code == 2
    assert run("codex", "enable-auto", "--url", "http://127.0.0.1:9000").code == 0
    assert status(run)["mode"] == "openfusion-auto"
    assert run("codex", "disable").code == 0
    assert file.read_text() == OLD


def test_it_is_the_adapter_under_another_name(run, file):
    run("codex", "enable-auto")
    assert run("adapter", "status", "codex", "--json").json["state"] == "installed"
    run("adapter", "uninstall", "codex")
    assert file.read_text() == OLD


@pytest.mark.parametrize("label", list(TOML)[::8])
def test_files_as_windows_writes_them_are_switched_and_restored(run, file, label):
    raw = b"\xef\xbb\xbf" + TOML[label].replace("\n", "\r\n").encode()
    file.write_bytes(raw)
    assert run("codex", "enable-fusion").code == 0
    found = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    assert found["model"] == "openfusion/fusion"
    assert found["model_provider"] == "openfusion"
    assert found["model_providers"]["openfusion"]["wire_api"] == "responses"
    assert status(run)["mode"] == "openfusion-fusion"
    assert run("codex", "disable").code == 0
    assert file.read_bytes() == raw


def test_status_says_it_for_people_too(run, file):
    assert run("codex", "status").out.startswith("Codex does not use the router (model gpt-5)\n")
    run("codex", "enable-auto")
    assert "the router, which picks the model (model openfusion/auto)" in run("codex", "status").out
    file.write_text('profile = "work"\n' + file.read_text())
    assert "Note: profile work is active" in run("codex", "status").out


def test_status_names_a_model_that_codex_own_menu_put_there(run, file):
    """Picked in /model, it is saved as the default, and every request is a 404 from then on."""
    run("codex", "enable-auto")
    assert "enable-auto" not in run("codex", "status").out
    file.write_text(file.read_text().replace('"openfusion/auto"', '"gpt-6.1-sol"'))
    said = run("codex", "status")
    assert said.code == 1
    assert "Note: The model 'gpt-6.1-sol' does not exist." in said.out
    assert "`openfusion codex enable-auto` sets it back" in said.out
    run("codex", "enable-auto")
    assert "(model openfusion/auto)" in run("codex", "status").out


@pytest.mark.parametrize(
    ("text", "code", "mode"),
    [
        (None, 0, "missing"),
        ("", 0, "direct"),
        ("model = 5\n", 0, "direct"),
        ("model_provider = 'openfusion'\n", 0, "direct"),
        ("a\n", 1, "broken"),
        ("[model_providers.openfusion]\nname = 'by hand'\n", 0, "provider-only"),
        (
            "model = 'x'\nmodel_provider = 'openfusion'\n[model_providers.openfusion]\n",
            0,
            "openfusion-role",
        ),
        ("model_providers = 5\n", 1, "broken"),
    ],
)
def test_each_kind_of_file_has_its_mode(run, file, text, code, mode):
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    done = run("codex", "status", "--json")
    assert (done.code, done.json["mode"]) == (code, mode)
    assert done.json["enabled"] is mode.startswith("openfusion")


def test_a_switch_that_was_turned_by_hand_is_a_finding(run, file):
    run("codex", "enable-auto")
    file.write_text(
        file.read_text().replace('model_provider = "openfusion"', 'model_provider = "openai"')
    )
    done = run("codex", "status", "--json")
    assert done.code == 1
    assert done.json["mode"] == "provider-only"
    assert done.json["differs"] == ["model_provider"]


@pytest.mark.parametrize(
    ("model", "provider", "there", "mode"),
    [
        ("openfusion/auto", "openfusion", True, "openfusion-auto"),
        ("openfusion/fusion", "openfusion", True, "openfusion-fusion"),
        (None, "openfusion", True, "openfusion-role"),
        ("openfusion/auto", None, True, "provider-only"),
        ("openfusion/auto", "openfusion", False, "direct"),
    ],
)
def test_the_mode_follows_from_model_provider_and_table(model, provider, there, mode):
    assert mode_of(model, provider, there=there) == mode


def test_an_unknown_role_is_refused_with_all_roles_and_nothing_is_written(run, file):
    done = run("codex", "use-role", "codr")
    assert done.code == 2
    assert "no candidate plays the role 'codr'" in done.err
    assert "coder" in done.err
    assert file.read_text() == OLD


def test_a_dry_run_and_another_file(run, file, folder):
    done = run("codex", "enable-auto", "--dry-run")
    assert '+model = "openfusion/auto" # good' in done.out
    assert file.read_text() == OLD
    other = folder / "profile.config.toml"
    assert run("codex", "enable-auto", "--file", other, "--url", "http://127.0.0.1:9000").code == 0
    assert "http://127.0.0.1:9000/v1" in other.read_text()
    assert file.read_text() == OLD


def test_it_says_that_codex_wants_a_key_unless_there_is_one(run, file, monkeypatch):
    assert "export OPENFUSION_API_KEY=local" in run("codex", "enable-auto").err
    monkeypatch.setenv("OPENFUSION_API_KEY", "x")
    assert run("codex", "enable-auto").err == ""


def test_a_broken_file_is_never_written_to(run, file):
    file.write_text("x = [1,\n")
    for command in ("enable-auto", "enable-fusion", "disable"):
        done = run("codex", command)
        assert done.code == 2
        assert f"{file}:2: is not valid TOML" in done.err
    assert file.read_text() == "x = [1,\n"
