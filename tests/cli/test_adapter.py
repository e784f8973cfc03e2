"""`openfusion adapter`: what it shows, writes, says and takes back."""

import json
import stat
import sys
import tomllib

import pytest

from openfusion_auto.cli.adapter import program
from openfusion_auto.clients.spec import names
from openfusion_auto.config.proxies import EXCEPT, SECURE

OLD = '# mine\nmodel = "gpt-5" # good\n\n[tui]\ntheme = "dark"\n'


@pytest.fixture
def codex(folder, monkeypatch):
    """A home with a configured Codex; returns its file."""
    for name in (
        "CODEX_HOME",
        "OPENCODE_CONFIG",
        "CLAUDE_CONFIG_DIR",
        "CLINE_DIR",
        "CLINE_DATA_DIR",
        "PI_CODING_AGENT_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder / "home"))
    file = folder / "home" / ".codex" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(OLD)
    return file


def test_a_port_that_is_left_open_does_not_keep_ours_in_the_file(run, codex, folder):
    run("adapter", "install", "codex")
    (folder / "openfusion.toml").write_text("[server]\nport = 0\n")
    assert run("adapter", "install", "codex").code == 2
    assert run("adapter", "status", "codex").code == run("adapter", "list").code == 0
    assert run("adapter", "uninstall", "codex").code == 0
    assert codex.read_text() == OLD


def test_the_list_names_every_client_with_its_state_and_version(run, codex):
    done = run("adapter", "list")
    assert done.code == 0
    rows = done.out.splitlines()
    assert [row.split()[0] for row in rows] == list(names())
    assert any(row.startswith("codex") and "not set up" in row and "0.169.0" in row for row in rows)
    assert any(row.startswith("crush") and row.endswith("not tested") for row in rows)
    run("adapter", "install", "codex")
    found = {r["client"]: r for r in run("adapter", "list", "--json").json["data"]}
    assert found["codex"]["state"] == "installed"
    assert found["codex"]["files"] == [str(codex)]
    assert found["aider"]["state"] == "no_file"
    assert found["litellm"] == {
        "client": "litellm", "mcp": False, "title": "LiteLLM proxy", "surface": "chat", "tested": None, "tested_on": None,
        "state": "no_file", "files": [],
    }  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_a_clients_name_alone_shows_it(run, codex, name):
    short, long = run("adapter", name), run("adapter", "show", name)
    assert short == long
    assert short.code == 0
    assert "openfusion/auto" in short.out
    assert f"openfusion adapter install {name}" in short.out
    assert "Start it: " in short.out
    assert codex.read_text() == OLD


def test_show_as_json_is_what_install_would_write(run, codex, folder):
    found = run(
        "adapter",
        "codex",
        "--json",
        "--url",
        "http://127.0.0.1:9000/v1/",
        "--model",
        "openfusion/coder",
    ).json
    (file,) = found["files"]
    assert file["path"] == str(codex)
    made = tomllib.loads(file["content"])
    assert made["model"] == "openfusion/coder"
    assert made["model_providers"]["openfusion"]["base_url"] == "http://127.0.0.1:9000/v1"
    assert found["env"] == {"OPENFUSION_API_KEY": "local"}
    new = folder / "new.toml"
    run(
        "adapter",
        "install",
        "codex",
        "--file",
        new,
        "--url",
        "http://127.0.0.1:9000",
        "--model",
        "openfusion/coder",
    )
    assert new.read_text() == file["content"]


def test_without_an_address_it_is_the_configured_servers(run, codex, monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", "9001")
    assert run("adapter", "codex", "--json").json["url"] == "http://127.0.0.1:9001"
    monkeypatch.setenv("OPENFUSION_HOST", "0.0.0.0")
    assert run("adapter", "codex", "--json").json["url"] == "http://127.0.0.1:9001"
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    told = run("adapter", "codex")
    assert (told.code, "--url" in told.err) == (2, True)


def test_the_window_is_the_smallest_of_the_configured_pool(run, codex, configured):
    configured(pool=POOL)
    made = tomllib.loads(run("adapter", "codex", "--json").json["files"][0]["content"])
    assert made["model_context_window"] == 64_000
    coder = run("adapter", "codex", "--json", "--model", "openfusion/coder").json
    assert tomllib.loads(coder["files"][0]["content"])["model_context_window"] == 100_000
    configured(pool='schema = 1\n[[candidates]]\nid = "x"\nupstream = "relay"\nmodel = "v/x"\n')
    none = run("adapter", "codex", "--json").json
    assert tomllib.loads(none["files"][0]["content"])["model_context_window"] == 200_000


POOL = """\
schema = 1
[[candidates]]
id = "a"
upstream = "relay"
model = "v/a"
roles = ["coder"]
context_tokens = 100000
[[candidates]]
id = "b"
upstream = "relay"
model = "v/b"
roles = ["fast"]
context_tokens = 64000
max_output_tokens = 8000
"""


def test_install_shows_the_difference_keeps_the_rest_and_says_how_to_go_on(run, codex):
    done = run("adapter", "install", "codex")
    assert done.code == 0
    assert '-model = "gpt-5" # good' in done.out
    assert '+model = "openfusion/auto" # good' in done.out
    assert "openfusion serve" in done.err
    text = codex.read_text()
    assert text.index("# mine") < text.index("[tui]") < text.index("[model_providers.openfusion]")
    again = run("adapter", "install", "codex")
    assert again.out == f"{codex}: nothing to change\n"
    assert again.err == ""
    assert codex.read_text() == text


def test_the_backup_is_private_and_holds_the_old_bytes(run, codex):
    (file,) = run("adapter", "install", "codex", "--json").json["files"]
    with open(file["backup"]) as backup:
        assert backup.read() == OLD
        assert stat.S_IMODE(__import__("os").fstat(backup.fileno()).st_mode) == 0o600


def test_uninstall_gives_back_the_bytes(run, codex):
    run("adapter", "install", "codex")
    done = run("adapter", "uninstall", "codex", "--json").json
    assert done["changed"] is True
    assert codex.read_text() == OLD
    assert run("adapter", "uninstall", "codex").out == f"{codex}: nothing to change\n"


def test_status_is_right_in_each_state(run, codex):
    def state():
        done = run("adapter", "status", "codex", "--json")
        return done.code, done.json["state"]

    assert state() == (0, "absent")
    run("adapter", "install", "codex")
    assert state() == (0, "installed")
    assert run("adapter", "status", "codex").out == f"{codex}: set up, model openfusion/auto\n"
    codex.write_text(codex.read_text().replace("8787", "1"))
    assert state() == (1, "changed")
    assert "differs: model_providers.openfusion.base_url" in run("adapter", "status", "codex").out
    codex.write_text("a = 1\nb\n")
    assert state() == (1, "broken")
    assert f"{codex}:2: is not valid TOML" in run("adapter", "status", "codex").out
    codex.unlink()
    assert state() == (0, "no_file")


def test_a_broken_file_is_left_with_its_line_said_and_code_2(run, codex):
    codex.write_text("a = 1\nmodel = \n")
    for act in ("install", "uninstall"):
        done = run("adapter", act, "codex")
        assert done.code == 2
        assert done.err.startswith(f"openfusion: {codex}:2: is not valid TOML")
        assert "left as it is" in done.err
        assert done.out == ""
    assert codex.read_text() == "a = 1\nmodel = \n"


def test_a_model_that_the_router_does_not_know_is_said_and_written_all_the_same(run, codex):
    done = run("adapter", "install", "codex", "--model", "openfusion/atuo")
    assert (done.code, 'model = "openfusion/atuo"' in codex.read_text()) == (0, True)
    assert (
        "warning: The model 'openfusion/atuo' does not exist. Did you mean openfusion/auto"
        in done.err
    )
    for fine in (
        ["--model", "openfusion/coder"],
        ["--model", "opus-4.8,gpt-5.5"],
        ["--model", "x", "--url", "http://127.0.0.1:9"],
    ):
        assert "warning" not in run("adapter", "install", "codex", *fine, "--dry-run").err


def test_a_dry_run_writes_nothing(run, codex, folder):
    done = run("adapter", "install", "codex", "--dry-run")
    assert done.code == 0
    assert '+model = "openfusion/auto"' in done.out
    assert f"{codex}: would be written" in done.out
    assert codex.read_text() == OLD
    assert not (folder / "state").exists()
    new = run("adapter", "install", "pi", "--dry-run", "--json").json
    assert new["dry_run"] is True
    assert new["changed"] is True


def test_a_file_of_ours_alone_is_deleted(run, codex, folder):
    file = folder / "home" / ".pi" / "agent" / "models.json"
    run("adapter", "install", "pi")
    assert json.loads(file.read_text())["providers"]["openfusion"]["baseUrl"].endswith("/v1")
    assert run("adapter", "uninstall", "pi", "--dry-run").out.endswith(
        "would be deleted, it was ours alone\n"
    )
    assert run("adapter", "uninstall", "pi").out.endswith("deleted, it was ours alone\n")
    assert not (folder / "home" / ".pi").exists()


def test_the_old_bytes_are_named_when_the_file_was_edited_since(run, codex):
    run("adapter", "install", "codex")
    codex.write_text(codex.read_text() + "[more]\n")
    done = run("adapter", "uninstall", "codex")
    assert "what was there: " in done.out
    assert codex.read_text() == OLD + "[more]\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["coedx"], "Did you mean 'codex'?"),
        (["nstall", "codex"], "No such command 'nstall'. Did you mean 'install'?"),
        (["install", "zzz"], "there is no adapter 'zzz'"),
        (["install", "litellm"], "--file"),
        (["install", "codex", "--url", "nowhere"], "--url"),
        (["install", "codex", "--model", "a b"], "--model"),
        (["install"], "Missing argument 'CLIENT'"),
        (["codex", "--nope"], "--nope"),
        (["--nope"], "--nope"),
    ],
)
def test_wrong_usage_is_one_clear_message_and_code_2(run, codex, args, said):
    done = run("adapter", *args)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert codex.read_text() == OLD


def test_a_client_without_a_usual_place_is_shown_all_the_same(run, codex, folder):
    done = run("adapter", "litellm")
    assert "In config.yaml:" in done.out
    assert "install litellm --file PATH" in done.out
    file = folder / "proxy.yaml"
    file.write_text("model_list:\n  - model_name: a\n")
    assert f"In {file}:" in run("adapter", "litellm", "--file", file).out
    assert run("adapter", "install", "litellm", "--file", file).code == 0
    assert "openfusion/auto" in file.read_text()
    run("adapter", "uninstall", "litellm", "--file", file)
    assert file.read_text() == "model_list:\n  - model_name: a\n"


def test_a_key_of_the_users_is_not_printed(run, codex, folder):
    file = folder / "home" / ".aider.conf.yml"
    file.write_text("openai-api-key: sk-very-secret\nmodel: x\n")
    done = run("adapter", "install", "aider")
    assert "openai-api-key: ***" in done.out
    assert "secret" not in done.out + done.err
    assert "secret" not in json.dumps(run("adapter", "uninstall", "aider", "--json").json)
    assert file.read_text() == "openai-api-key: sk-very-secret\nmodel: x\n"


def test_one_switch_sets_up_the_tools_beside_the_models(run, codex):
    run("adapter", "install", "codex")
    between = codex.read_text()
    done = run("adapter", "install", "codex", "--mcp")
    assert done.code == 0
    assert "[mcp_servers.openfusion]" in done.out
    assert "model" not in done.out.replace("model_", "")
    assert "start it anew: codex" in done.err
    data = tomllib.loads(codex.read_text())
    ours = data["mcp_servers"]["openfusion"]
    assert ours["args"] == ["mcp"]
    assert {"OPENFUSION_API_KEYS", "OPENROUTER_API_KEY"} <= set(ours["env_vars"])
    assert data["model"] == "openfusion/auto"
    assert run("adapter", "status", "codex", "--mcp").out == f"{codex}: set up\n"
    assert run("adapter", "status", "codex", "--mcp", "--json").json["mcp"] is True
    run("adapter", "uninstall", "codex", "--mcp")
    assert codex.read_text() == between
    run("adapter", "uninstall", "codex")
    assert codex.read_text() == OLD


def test_the_tools_ask_the_server_that_is_named(run, codex):
    found = run("adapter", "codex", "--mcp", "--json", "--url", "http://127.0.0.1:9000/v1").json
    ours = tomllib.loads(found["files"][0]["content"])["mcp_servers"]["openfusion"]
    assert ours["args"] == ["mcp", "--server", "http://127.0.0.1:9000"]
    assert (found["mcp"], found["model"]) == (True, None)


def test_the_tools_go_by_the_configuration_that_is_named(run, codex, tmp_path, monkeypatch):
    """An agent starts them in any folder, so the path is a whole one."""
    (tmp_path / "mine.toml").write_text("[auto]\ncost_quality = 3\n")
    monkeypatch.chdir(tmp_path)
    run("adapter", "install", "codex", "--mcp", "--config", "mine.toml")
    ours = tomllib.loads(codex.read_text())["mcp_servers"]["openfusion"]
    assert ours["args"] == ["mcp", "--config", (tmp_path / "mine.toml").as_posix()]
    assert run("adapter", "status", "codex", "--mcp").out == f"{codex}: set up\n"


def test_the_variables_of_the_configured_keys_are_passed_on(run, codex, configured):
    configured()
    found = run("adapter", "codex", "--mcp", "--json").json["files"][0]["content"]
    names_ = tomllib.loads(found)["mcp_servers"]["openfusion"]["env_vars"]
    assert "RELAY_API_KEY" in names_
    assert "OPENROUTER_API_KEY" not in names_


def test_the_variables_of_proxies_are_passed_on(run, codex, configured):
    configured(
        more='[[upstreams]]\nname = "far"\nbase_url = "https://a.invalid"\nproxy_env = "FAR_PROXY"\n'
    )
    found = run("adapter", "codex", "--mcp", "--json").json["files"][0]["content"]
    names_ = tomllib.loads(found)["mcp_servers"]["openfusion"]["env_vars"]
    assert {"FAR_PROXY", *SECURE, *EXCEPT} <= set(names_)


def test_the_list_of_the_tools_names_the_clients_that_have_them(run, codex):
    rows = run("adapter", "list", "--mcp").out.splitlines()
    assert [row.split()[0] for row in rows] == ["claude-code", "cline", "codex", "opencode"]
    said = run("adapter", "show", "claude-code", "--mcp").out
    assert "Write it: openfusion adapter install claude-code --mcp" in said
    refused = run("adapter", "install", "aider", "--mcp")
    assert refused.code == 2
    assert "All: claude-code, cline, codex, opencode" in refused.err


def test_the_program_is_written_with_its_path_so_that_any_agent_finds_it(monkeypatch, folder):
    there = folder / "bin" / "openfusion"
    there.parent.mkdir()
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(there.with_name("python")))
    assert program() == there.as_posix()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", str(there.parent))
    assert program() == there.as_posix()
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == "openfusion"
