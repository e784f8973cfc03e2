"""What doctor prints and how it ends; the checks themselves stand in test_checks.py."""


def test_a_good_set_up_passes(run, configured, monkeypatch):
    monkeypatch.setenv("RELAY_API_KEY", "sk-very-secret")
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    done = run("doctor")
    assert done.code == 0
    assert "PASS  key       RELAY_API_KEY is set for upstream relay" in done.out
    assert "setting   auto.cost_quality = 3.0  (file:openfusion.toml:10)" in done.out
    assert "sk-very-secret" not in done.out + done.err


def test_a_failure_says_what_to_do_and_ends_with_1(run, configured, monkeypatch):
    configured(url="https://relay.invalid/v1")
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    done = run("doctor")
    assert done.code == 1
    assert "FAIL  key       upstream relay cannot be called: set RELAY_API_KEY" in done.out
    assert "-> export RELAY_API_KEY=" in done.out


def test_json_holds_checks_settings_and_the_verdict(run, configured, monkeypatch):
    monkeypatch.setenv("RELAY_API_KEY", "sk-very-secret")
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    done = run("doctor", "--json")
    assert done.json["ok"] is True
    assert {c["name"] for c in done.json["checks"]} == {
        "version",
        "config",
        "key",
        "pool",
        "port",
        "state",
    }
    origins = {row["key"]: row["origin"] for row in done.json["settings"]}
    assert origins["server.port"] == "env:OPENFUSION_PORT"
    assert "sk-very-secret" not in done.out


def test_a_setting_that_is_set_to_its_default_is_no_news(run, folder, monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    run("init")
    shown = [line.split()[1] for line in run("doctor").out.splitlines() if "  setting  " in line]
    assert shown == ["server.port", "upstreams.openrouter"]
    rows = run("doctor", "--json").json["settings"]
    assert len(rows) > 40
    assert {row["key"] for row in rows if not row["default"]} == set(shown)


def test_a_broken_configuration_is_a_finding(run, folder):
    (folder / "openfusion.toml").write_text("[auto]\ncost_qualty = 5\nmode = 3\n")
    done = run("doctor", "--json")
    assert done.code == 1
    failed = [c["detail"] for c in done.json["checks"] if c["status"] == "FAIL"]
    assert len(failed) == 2
    assert {line.split(": ")[0] for line in failed} == {"openfusion.toml:2", "openfusion.toml:3"}


def test_wire_holds_our_own_server_to_every_probe_and_to_bytes(run):
    done = run("doctor", "--wire", "--json")
    assert done.code == 0
    found = {
        g["name"]: {p["probe"]: p["outcome"] for p in g["probes"]} for g in done.json["gateways"]
    }
    for behind in ("chat", "responses", "messages"):
        outcomes = found[f"openfusion, {behind} behind"]
        assert outcomes[f"{behind}: bytes"] == outcomes[f"{behind}: bytes of a stream"] == "pass"
        assert set(outcomes.values()) == {"pass", "not offered"}


def test_an_address_is_probed_and_gets_no_key_of_another(run, configured, canned, monkeypatch):
    configured()
    monkeypatch.setenv("RELAY_API_KEY", "sk-relay")
    monkeypatch.setenv("OPENFUSION_API_KEYS", "sk-client")
    done = run("doctor", "--probe-url", f"{canned.url}/v1", "--model", "m")
    assert done.code == 1
    assert "not offered: status 404 (every probe)" in done.out
    assert len(canned.seen) > 20
    assert not [v for _, _, h in canned.seen for v in h.values() if "sk-" in v]


def test_one_thing_at_a_time(run):
    for args in (
        ["--wire", "--probe-url", "http://x/v1"],
        ["--probe", "--wire"],
        ["--model", "m"],
        ["--wire", "--key-env", "A"],
    ):
        assert run("doctor", *args).code == 2
