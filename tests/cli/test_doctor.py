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


def test_a_broken_configuration_is_a_finding(run, folder):
    (folder / "openfusion.toml").write_text("[auto]\ncost_qualty = 5\nmode = 3\n")
    done = run("doctor", "--json")
    assert done.code == 1
    failed = [c["detail"] for c in done.json["checks"] if c["status"] == "FAIL"]
    assert len(failed) == 2
    assert {line.split(": ")[0] for line in failed} == {"openfusion.toml:2", "openfusion.toml:3"}
