"""The matrix as a table and as JSON; foreign names cannot break out of their cell."""

from openfusion_auto.evals.compat import matrix
from openfusion_auto.evals.compat.asking import Target
from openfusion_auto.evals.compat.outcome import Result
from openfusion_auto.evals.compat.probes import Probe
from openfusion_auto.evals.compat.run import Column

PROBES = [Probe("chat", name, "about", None) for name in ("answer", "stream")]


def column(name, *results, key=None):
    ids = [p.id for p in PROBES]
    return Column(
        Target(name, "http://x/v1", "m", key),
        [Result(i, *r) for i, r in zip(ids, results, strict=True)],
    )


GOOD = column("good", ("pass",), ("pass",), key="sk-secret")
BAD = column("b|a\nd", ("fail", "status 500"), ("fail", "status 500"))
MIXED = column("mixed", ("not offered", "status 404"), ("unknown", "who | knows"))


def test_a_row_a_probe_a_column_a_gateway():
    assert matrix.table(PROBES, [GOOD, BAD, MIXED]).splitlines() == [
        "| API  | Probe  | good | b/a d    | mixed       |",
        "| ---- | ------ | ---- | -------- | ----------- |",
        "| chat | answer | pass | **FAIL** | not offered |",
        "| chat | stream | pass | **FAIL** | unknown     |",
    ]


def test_a_line_a_reason():
    assert matrix.reasons([GOOD]) == ""
    assert matrix.reasons([GOOD, BAD, MIXED]).splitlines() == [
        "- b/a d: fail: status 500 (every probe)",
        "- mixed: not offered: status 404 (chat: answer)",
        "- mixed: unknown: who / knows (chat: stream)",
    ]
    assert matrix.reasons([MIXED], ["unknown"]).splitlines() == [
        "- mixed: unknown: who / knows (chat: stream)"
    ]


def test_json_says_the_same_and_no_key():
    found = matrix.as_json(PROBES, [GOOD, BAD])
    assert found["ok"] is False
    assert [g["ok"] for g in found["gateways"]] == [True, False]
    assert found["gateways"][1]["probes"][0] == {
        "probe": "chat: answer", "about": "about", "outcome": "fail", "why": "status 500",
    }  # fmt: skip
    assert found["gateways"][0]["probes"][0]["why"] is None
    assert "sk-secret" not in repr(found)
