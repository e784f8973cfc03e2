"""The pool's numbers with their origin, and what deserves a look."""

import pytest

from .conftest import POOL

ODD = POOL.replace("input = 0.5, output = 2.0", "input = 5000.0, output = 9000.0")
FINE = """\
schema = 1
[[candidates]]
id = "all"
upstream = "relay"
model = "vendor/all"
roles = ["fast", "coder", "reasoner", "verifier", "writer"]
price_usd_per_mtok = { input = 0, output = 0, source = "runs on this machine", as_of = "2026-07-02" }
context_tokens = 1000
performance = { ttft_ms_p50 = 900, source = "runs on this machine", as_of = "2026-07-02" }
benchmarks = [
  { name = "a", score = 50, source = "runs on this machine", as_of = "2026-07-02" },
  { name = "b", score = 60, source = "runs on this machine", as_of = "2026-07-02" },
]
"""


def test_every_number_stands_with_its_source_and_date(run, configured):
    done = run("pool", "list")
    assert done.code == 0
    lines = [line for line in done.out.splitlines() if line.startswith("  ")]
    for word in ("price", "score", "task", "speed"):
        line = next(line for line in lines if line.strip().startswith(word))
        assert line.endswith(("2026-07-02]", "2026-07]")), line
    assert "0.5 in, 2 out, cached 0.05, cache write 0.6 USD per 1M tokens" in done.out
    assert "72 % swebench_verified_openhands (n = 500)" in done.out
    assert "first token after 900 ms, 60 tokens/s" in done.out
    assert "price    unknown" in done.out


def test_the_json_listing_holds_every_candidate_and_the_digest(run, configured):
    listed = run("pool", "list", "--json").json
    assert [c["id"] for c in listed["candidates"]] == ["coder-a", "fast-b"]
    assert listed["digest"].startswith("sha256:")
    assert listed["candidates"][1]["price"] is None


def test_a_pool_can_be_named_without_any_configuration(run, folder):
    (folder / "p.toml").write_text(POOL)
    assert run("pool", "list", "--pool", "p.toml", "--json").json["pool"] == "p.toml"
    assert run("pool", "list", "--pool", "local", "--json").json["candidates"]


def test_a_pool_that_is_not_there_is_a_configuration_error(run):
    done = run("pool", "check", "--pool", "defalt")
    assert done.code == 2
    assert "--pool: no such file: defalt; shipped pools are" in done.err
    assert 'did you mean "default"?' in done.err


def test_warnings_alone_are_fine_unless_strict(run, configured):
    done = run("pool", "check")
    assert done.code == 0
    assert "warning fast-b: price_unknown" in done.out
    assert "0 errors" in done.out
    assert run("pool", "check", "--strict").code == 1


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_wrong_number_is_an_error(run, configured, form):
    configured(pool=ODD)
    done = run("pool", "check", *form)
    assert done.code == 1
    if form:
        levels = {f["rule"]: f["level"] for f in done.json["findings"]}
        assert levels["price_outlier"] == "error"
        assert levels["price_unknown"] == "warning"
    else:
        assert "error   coder-a: price_outlier: above 1000 USD" in done.out


def test_a_pool_without_findings_passes_strict(run, folder):
    (folder / "p.toml").write_text(FINE)
    done = run("pool", "check", "--strict", "--pool", "p.toml")
    assert done.out == "1 candidate: 0 errors, 0 warnings\n"
    assert done.code == 0


def test_unknown_speeds_are_left_out(run, folder):
    (folder / "p.toml").write_text(FINE)
    assert "speed    first token after 900 ms  [" in run("pool", "list", "--pool", "p.toml").out
    (folder / "p.toml").write_text(FINE.replace("ttft_ms_p50 = 900", "tokens_per_s_p50 = 7"))
    assert "speed    7 tokens/s  [" in run("pool", "list", "--pool", "p.toml").out


def test_the_shipped_pools_have_no_errors(run):
    for name in ("default", "local"):
        assert run("pool", "check", "--pool", name).code == 0
