"""Metrics: what a finished trace adds, that labels are bounded, and that the names are those of the reference."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from openfusion_auto import __version__
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Breaker, Candidate, Decision, Plan, Pool, Step
from openfusion_auto.errors import UpstreamRejected
from openfusion_auto.runtime.trace import Again, Attempt, Trace
from openfusion_auto.server.metrics import Look, Metrics, error_codes, first_token_ms
from openfusion_auto.server.together import Together
from openfusion_auto.store.base import Status

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
POOL = Pool(
    (
        Candidate("a", "relay", "vendor/a", roles=("coder",)),
        Candidate("b", "relay", "vendor/b"),
        Candidate("twin", "other", "vendor/b"),
    ),
    "p",
)


def looking(pool=POOL, breakers=None, streams=0, store=None, refused=None):
    return Look(
        pool=lambda: pool,
        breakers=lambda: breakers or {},
        streams=lambda: streams,
        store=lambda: store or Status("memory", None, 0, 0),
        refused=lambda: refused or Counter(),
        config=lambda: (12.0, False, Counter(error=3)),
    )


@pytest.fixture
def metrics():
    return Metrics(looking())


def call(candidate="a", phase="primary", **more):
    more = {"status": "ok", "ms": 2000.0, "ttft_ms": 300.0, **more}
    return Attempt(phase, candidate, f"vendor/{candidate}", "relay", 10.0, **more)


def trace(*calls, **more):
    more = {"outcome": "ok", "ms": 2500.0, "requested_model": "openfusion/auto", **more}
    found = Trace(id="tr_1", dialect="chat", stream=True, at=0.0, attempts=list(calls), **more)
    if calls and found.answered_by is None:
        found.answered_by, found.answered_phase = calls[-1].candidate, calls[-1].phase
    return found


def samples(metrics):
    """Every sample by name and labels."""
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for s in family.samples
    }


def value(metrics, name, **labels):
    return samples(metrics).get((f"openfusion_{name}", *sorted(labels.items())))


def test_a_request_is_counted_with_surface_model_mode_and_outcome(metrics):
    metrics.observe(trace(call()))
    metrics.observe(trace(call(), surface="embeddings", requested_model="vendor/a"))
    labels = {"mode": "single", "outcome": "ok"}
    assert (
        value(metrics, "requests_total", surface="chat", model="openfusion/auto", **labels) == 1.0
    )
    assert value(metrics, "requests_total", surface="embeddings", model="a", **labels) == 1.0
    assert value(metrics, "request_duration_seconds_sum", surface="chat", mode="single") == 2.5


def test_a_kept_answer_is_counted_apart_from_those_that_were_made(metrics):
    metrics.observe(trace(cached=Again("tr_0", "verify", "vendor/a", 1.0), ms=1.5))
    labels = {"surface": "chat", "mode": "kept"}
    asked = {**labels, "model": "openfusion/auto", "outcome": "ok"}
    assert value(metrics, "requests_total", **asked) == 1.0
    assert value(metrics, "request_duration_seconds_sum", **labels) == 0.0015
    assert not [name for name in samples(metrics) if ("mode", "verify") in name]


def test_the_first_token_is_that_of_the_answer_and_counted_for_streams_alone(metrics):
    first, second = call("a", status="error", error="upstream_timeout"), call("b", ttft_ms=700.0)
    assert first_token_ms(trace(first, second)) == 710.0
    assert first_token_ms(trace(call(ttft_ms=None))) is None
    assert first_token_ms(trace()) is None
    metrics.observe(trace(first, second))
    whole = trace(call())
    whole.stream = False
    metrics.observe(whole)
    count = value(metrics, "time_to_first_token_seconds_count", surface="chat", mode="single")
    assert count == 1.0


def test_calls_tokens_and_money_are_counted_by_candidate(metrics):
    used = Usage(input=100, cached=60, output=20)
    metrics.observe(trace(call("a", usage=used, usd=0.25), call("b", "verify", usage=used)))
    assert value(metrics, "attempts_total", candidate="a", phase="primary", status="ok") == 1.0
    assert value(metrics, "attempts_total", candidate="b", phase="verify", status="ok") == 1.0
    tokens = [
        value(metrics, "tokens_total", candidate="a", kind=k) for k in ("input", "cached", "output")
    ]
    assert tokens == [40.0, 60.0, 20.0]
    assert value(metrics, "usd_total", candidate="a") == 0.25
    assert value(metrics, "usd_total", candidate="b") is None
    assert value(metrics, "unpriced_calls_total", candidate="b") == 1.0
    assert value(metrics, "upstream_latency_seconds_sum", candidate="b") == 2.0


def test_a_call_without_tokens_has_neither_a_price_nor_an_unknown_one(metrics):
    metrics.observe(trace(call(status="error", error="upstream_timeout")))
    assert value(metrics, "unpriced_calls_total", candidate="a") is None
    assert value(metrics, "usd_total", candidate="a") is None


def test_numbers_that_a_broken_upstream_reports_never_count_backwards(metrics):
    metrics.observe(trace(call(usage=Usage(input=1, cached=5, output=-3), usd=-1.0)))
    assert value(metrics, "tokens_total", candidate="a", kind="input") == 0.0
    assert value(metrics, "tokens_total", candidate="a", kind="output") == 0.0
    assert value(metrics, "usd_total", candidate="a") == 0.0


def test_once_more_is_a_retry_and_another_is_a_fallback(metrics):
    failed = {"status": "error", "error": "upstream_timeout"}
    metrics.observe(trace(call("a", **failed), call("a", **failed), call("b")))
    assert value(metrics, "retries_total", candidate="a") == 1.0
    assert value(metrics, "retries_total", candidate="b") is None
    assert value(metrics, "fallbacks_total", phase="primary") == 1.0


def test_the_members_of_a_panel_are_no_fallbacks(metrics):
    steps = (Step("member", ("a",)), Step("member", ("b",)), Step("judge", ("a", "b")))
    decision = object.__new__(Decision)
    object.__setattr__(decision, "mode", "panel")
    object.__setattr__(decision, "plan", Plan(steps, 0.1, 0.1))
    found = trace(call("a", "member"), call("b", "member"), call("a", "judge"))
    found.decision = decision
    metrics.observe(found)
    assert value(metrics, "fallbacks_total", phase="member") is None
    assert value(metrics, "retries_total", candidate="a") is None
    assert (
        value(
            metrics,
            "requests_total",
            surface="chat",
            model="openfusion/auto",
            mode="panel",
            outcome="ok",
        )
        == 1.0
    )


WORDS = st.text(max_size=30) | st.sampled_from(("openfusion/", "sk-canary", 'x"\n{}', "ö" * 500))


@given(requested=WORDS, candidate=WORDS, code=WORDS)
def test_no_text_of_a_client_or_an_upstream_becomes_a_label(requested, candidate, code):
    metrics = Metrics(looking())
    line = call(candidate, status="error", error=code or "x")
    metrics.observe(trace(line, requested_model=requested))
    allowed = {"a", "b", "twin", "other", "vendor/b", *error_codes(), "ok", "error", "cancelled"}
    allowed |= {"openfusion/auto", "openfusion/fusion", "openfusion/coder"}
    for key in samples(metrics):
        for name, shown in key[1:]:
            assert name not in ("model", "candidate", "status") or shown in allowed


def test_a_code_that_only_an_upstream_knows_counts_as_its_refusal(metrics):
    metrics.observe(trace(call(status="error", error="vendor_word")))
    status = UpstreamRejected.default_code
    assert value(metrics, "attempts_total", candidate="a", phase="primary", status=status) == 1.0


def test_a_pool_that_changes_brings_its_own_names():
    pools = [POOL]
    look = looking()
    metrics = Metrics(
        Look(lambda: pools[-1], look.breakers, look.streams, look.store, look.refused, look.config)
    )
    assert metrics.candidate("c") == "other"
    pools.append(Pool((Candidate("c", "relay", "vendor/c"),), "q"))
    assert (metrics.candidate("c"), metrics.candidate("a")) == ("c", "other")


def test_states_are_read_when_asked():
    broken = {"a": Breaker("open", 3, 10.0)}
    refused = Counter({("key", "tokens"): 2})
    look = looking(
        breakers=broken, streams=4, store=Status("sqlite", "full", 7, 9), refused=refused
    )
    metrics = Metrics(look)
    shown = {
        p: value(metrics, "breaker_state", candidate="a", state=p)
        for p in ("closed", "half_open", "open")
    }
    assert shown == {"closed": 0.0, "half_open": 0.0, "open": 1.0}
    assert value(metrics, "breaker_state", candidate="b", state="closed") == 1.0
    assert value(metrics, "streams_in_flight") == 4.0
    assert value(metrics, "store_queue") == 7.0
    assert value(metrics, "store_dropped_total") == 9.0
    assert value(metrics, "store_ok") == 0.0
    assert value(metrics, "config_ok") == 0.0
    assert value(metrics, "config_loaded_timestamp_seconds") == 12.0
    assert value(metrics, "config_reloads_total", result="error") == 3.0
    assert value(metrics, "limits_refused_total", account="key", limit="tokens") == 2.0
    (info,) = [k for k in samples(metrics) if k[0] == "openfusion_build_info"]
    assert ("version", __version__) in info


def test_nothing_is_registered_globally(metrics):
    metrics.observe(trace(call()))
    names = {m.name for m in REGISTRY.collect()}
    assert not [n for n in names if n.startswith("openfusion")]


def documented():
    """Name -> (kind, labels) as the reference has them."""
    rows = re.findall(
        r"^\| `(openfusion_\w+)` \| (\w+) \|(.*?)\| .+ \|$",
        PAGE.read_text(),
        flags=re.MULTILINE,
    )
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_reference_has_exactly_the_metrics_that_there_are(metrics):
    failed = {"status": "error", "error": "upstream_timeout"}
    metrics.observe(
        trace(call(**failed), call(usage=Usage(1, 1), usd=0.1), call("b", usage=Usage(1)))
    )
    metrics.answered("/v1/models", 200)
    refusing = Metrics(looking(refused=Counter({("server", "usd"): 1})))
    of_workers = Together(Path(), refusing.registry).own()
    found = {}
    for family in [*metrics.registry.collect(), *refusing.registry.collect(), *of_workers]:
        kind = {"info": "gauge"}.get(family.type, family.type)
        for sample in family.samples:
            name = (
                re.sub(r"_(bucket|sum|count)$", "", sample.name)
                if kind == "histogram"
                else sample.name
            )
            found.setdefault(name, (kind, set()))[1].update(set(sample.labels) - {"le"})
    assert {n: (k, set(ls)) for n, (k, ls) in documented().items()} == found


def test_the_words_of_labels_are_documented():
    text = PAGE.read_text().split("## Labels")[1]
    used = {label for _, labels in documented().values() for label in labels} - {
        "version",
        "python",
    }
    rows = re.findall(r"^\| `(\w+)`(?: \(.+?\))? \|", text, flags=re.MULTILINE)
    assert set(rows) == used
