"""The server as a process, and its start-up here."""

import gc
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from openfusion_auto.cli import output, serve
from openfusion_auto.cli.common import load_settings

from .processes import READY, serving, start_process


def ask(url, text="hello"):
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def health(url):
    with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
        return json.load(answer)


def ask_route(url):
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": "hi"}]}
    request = urllib.request.Request(
        f"{url}/debug/route", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["decision"]["mode"]


def test_it_says_where_it_is_answers_and_ends_with_0_on_sigterm(folder):
    with serving(cwd=folder) as (url, lines, process):
        assert len([line for line in lines if url in line]) == 1
        assert lines[-1].endswith("12 candidates, dry run)")
        assert any("DRY RUN: NO MODEL IS CALLED" in line for line in lines[:-1])
        answer = ask(url)
        with urllib.request.urlopen(f"{url}/ui", timeout=10) as page:
            assert answer["openfusion"]["trace_id"] in page.read().decode()
        assert answer["openfusion"]["dry_run"] is True
        assert answer["choices"][0]["message"]["content"].startswith("DRY RUN")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_ends_with_0_where_loops_know_no_signals(number, folder):
    program = (str(Path(__file__).with_name("elsewhere.py")),)
    with serving(cwd=folder, program=program) as (url, lines, process):
        assert lines[-1].endswith("12 candidates, dry run)")
        assert ask(url)["choices"][0]["message"]["content"].startswith("DRY RUN")
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_with_a_file_and_no_key_it_starts_warns_and_makes_nothing_up(configured, folder):
    configured(url="https://relay.invalid/v1")
    with serving(cwd=folder) as (url, lines, _):
        said = "\n".join(lines)
        assert "upstream relay cannot be called: set RELAY_API_KEY" in said
        assert "NO UPSTREAM CAN BE CALLED" in said
        assert "DRY RUN" not in said
        assert lines[-1].endswith("0 of 2 candidates)")
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(url)
        assert refused.value.code == 503
        refused.value.close()


def test_a_worker_is_not_started_by_hand(run):
    done = run("serve", "--dry-run", "--worker", "0/2/3/0")
    assert (done.code, "what `serve --workers` says" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[page]\ntake_keys = true\n", "a key for relay can be given on the page too, once it is ready: /ui/playground#keys"),
        ("[page]\ntake_keys = true\n[server]\nworkers = 2\n", "page.take_keys does nothing with several workers; give a key to openfusion chat, and it counts for all"),
        ("", None),
    ],
)  # fmt: skip
def test_it_points_to_the_page_where_a_key_can_be_typed(configured, capsys, more, said):
    configured(url="https://relay.invalid/v1", more=more)
    serve.announce_page(load_settings(None), dry_run=False)
    assert capsys.readouterr().err == (f"openfusion: {said}\n" if said else "")


def test_the_log_is_json_with_a_line_for_every_answer_when_asked(folder):
    (folder / "openfusion.toml").write_text('[log]\nformat = "json"\nlevel = "info"\n')
    with serving("--dry-run", cwd=folder) as (url, _, process):
        answer = ask(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
    (line,) = (x for x in lines if x["logger"] == "openfusion.access")
    assert line["trace_id"] == answer["openfusion"]["trace_id"]
    assert (line["status"], line["level"]) == (200, "info")


def test_sighup_reads_the_configuration_again(configured, folder):
    configured()
    with serving(cwd=folder) as (url, _, process):
        path = folder / "openfusion.toml"
        path.write_text("[auto]\nmode = 7\n")
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 15
        while (error := health(url)["config"]["error"]) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "auto.mode" in error
        assert ask_route(url) == "single"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "stays as it was" in process.stderr.read()


def test_two_servers_cannot_share_a_port(server, folder):
    port = server.rpartition(":")[2]
    second = start_process("serve", "--port", port, cwd=folder)
    _, err = second.communicate(timeout=20)
    assert second.returncode == 2
    assert "--port" in err
    assert "Traceback" not in err


@pytest.fixture
def stopping(monkeypatch):
    """End the server of this process as soon as it is ready."""
    said = []

    def note(text):
        said.append(text)
        if READY.match(text):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(output, "note", note)
    yield said
    gc.unfreeze()


def test_json_gives_one_line_for_programs_too(run, stopping):
    done = run("serve", "--port", "0", "--dry-run", "--json")
    assert done.code == 0
    ready = json.loads(done.out)
    assert ready["url"].startswith("http://127.0.0.1:")
    assert (ready["dry_run"], ready["candidates"], ready["usable"]) == (True, 12, 12)
    assert done.out.count("\n") == 1
    assert ready["url"] in stopping[-1]


def test_the_address_comes_from_environment_and_flags(run, stopping, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("OPENFUSION_PORT", str(port))
    assert run("serve").code == 0
    assert f"http://127.0.0.1:{port} " in stopping[-1]
    assert run("serve", "--port", "0", "--host", "localhost").code == 0
    assert f":{port} " not in stopping[-1]


def test_a_part_of_the_candidates_is_counted(run, configured, stopping, folder):
    more = '\n[[upstreams]]\nname = "far"\nbase_url = "https://far.invalid/v1"\napi_key_env = "RELAY_FAR"\n'
    pool = (folder / "pool.toml").read_text().replace('upstream = "relay"', 'upstream = "far"', 1)
    configured(more=more, pool=pool)
    assert run("serve", "--port", "0").code == 0
    assert "1 of 2 candidates)" in stopping[-1]
    assert not any("NO UPSTREAM" in line for line in stopping)


def test_several_workers_without_a_place_to_share_are_refused_with_the_reason(run):
    done = run("serve", "--workers", "2", "--no-store")
    assert done.code == 2
    assert "OPENFUSION_REDIS_URL" in done.err


@pytest.mark.parametrize("count", ["0", "65"])
def test_a_number_of_workers_that_is_none_is_refused(run, count):
    done = run("serve", "--workers", count)
    assert done.code == 2
    assert "server.workers" in done.err


@pytest.mark.parametrize("port", ["70000", "-1", "x"])
def test_a_port_that_is_none_is_a_usage_error(run, port):
    done = run("serve", "--port", port)
    assert done.code == 2
    assert "port" in done.err


def test_listening_for_everybody_needs_a_key(run):
    done = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.code == 2
    assert "OPENFUSION_API_KEYS" in done.err


def test_listening_for_everybody_without_a_key_must_be_told_twice(run, stopping, folder):
    asked = ("serve", "--host", "0.0.0.0", "--port", "0", "--dry-run")
    assert run(*asked, "--insecure-no-keys").code == 2
    assert "server.insecure_no_keys" in stopping[-1]
    (folder / "openfusion.toml").write_text("[server]\ninsecure_no_keys = true\n")
    assert run(*asked).code == 2
    assert run(*asked, "--insecure-no-keys").code == 0


def test_a_key_is_enough_to_listen_for_everybody(run, stopping):
    run("keys", "create", "ci")
    assert run("serve", "--host", "0.0.0.0", "--port", "0", "--dry-run").code == 0


def test_the_faster_loop_is_used_only_where_it_is_installed(monkeypatch):
    uvloop = pytest.importorskip("uvloop")
    assert serve.loop_factory() is uvloop.new_event_loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert serve.loop_factory() is None
