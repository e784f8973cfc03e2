"""The trace: money that adds up or is unknown, a compact form that fits, a full form that shows everything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_digest, one_sentence
from openfusion_auto.core.prompt import Options, Usage
from openfusion_auto.core.types import Policy, State
from openfusion_auto.runtime.trace import (
    COMPACT_BYTES,
    WHY_CHARS,
    Attempt,
    Hedged,
    Trace,
    TraceStore,
    compact,
    full,
)
from tests.support.pools import CODER, FAST, FOUR, candidate, pool, solves, task

UNPRICED = candidate("free-a", price=None)


def trace(**changes) -> Trace:
    known = {
        "id": "tr_" + "0" * 24,
        "requested_model": "openfusion/auto",
        "dialect": "chat",
        "stream": False,
        "at": 1_700_000_000.0,
        "decision": decide(task(), FOUR, State()),
        "state": State(),
    }
    return Trace(**{**known, **changes})


def attempt(model=CODER, usage=None, phase="primary", **changes) -> Attempt:
    line = Attempt(phase, model.id, model.model, model.upstream, 1.0, status="ok")
    if usage is not None:
        line.book(model, usage)
    for name, value in changes.items():
        setattr(line, name, value)
    return line


def size(value) -> int:
    return len(json.dumps(value).encode())


# -- money ------------------------------------------------------------------------------------------------------------


def test_a_line_is_booked_at_its_own_price():
    line = attempt(usage=Usage(1_000_000, 100_000))
    assert line.usd == pytest.approx(0.5 + 0.2)
    assert line.estimated is False
    line.book(CODER, Usage(1), estimated=True)
    assert (line.usage, line.estimated) == (Usage(1), True)


def test_a_line_of_unknown_price_is_none():
    assert attempt(UNPRICED, Usage(5, 5)).usd is None
    nothing = attempt()
    nothing.book(CODER, None)
    assert (nothing.usage, nothing.usd) == (None, None)


@given(
    st.lists(
        st.tuples(st.sampled_from([CODER, FAST]), st.integers(0, 9**6), st.integers(0, 9**5)),
        max_size=6,
    )
)
def test_lines_sum_to_the_total(calls):
    made = trace(attempts=[attempt(m, Usage(i, o)) for m, i, o in calls])
    lines = full(made)["usage"]
    assert made.usd() == pytest.approx(sum(line["usd"] for line in lines), abs=1e-9)
    made.attempts.append(attempt())  # never got as far as tokens
    assert made.usage() == Usage(sum(c[1] for c in calls), sum(c[2] for c in calls))


@pytest.mark.parametrize(
    ("dialect", "estimated", "calls", "told"),
    [
        ("chat", False, 1, None),
        ("chat", True, 1, None),
        ("messages", False, 1, None),
        ("messages", True, 1, Usage(3, 4)),
        ("responses", True, 1, Usage(3, 4)),
        ("chat", False, 2, Usage(6, 8)),
    ],
)
def test_a_client_is_told_sums_and_what_its_answer_must_say_and_does_not(
    dialect, estimated, calls, told
):
    lines = [attempt(usage=Usage(3, 4), estimated=estimated) for _ in range(calls)]
    assert trace(dialect=dialect, attempts=[*lines, attempt()]).told_usage() == told


def test_the_total_is_unknown_as_soon_as_a_call_with_tokens_has_no_price():
    known, unknown = attempt(usage=Usage(10, 10)), attempt(UNPRICED, Usage(1, 1))
    assert trace(attempts=[known, unknown]).usd() is None
    assert compact(trace(attempts=[known, unknown]))["usd"] is None
    # A call that never used a token costs nothing, whatever its price.
    assert trace(attempts=[known, attempt(UNPRICED)]).usd() == known.usd
    assert trace().usd() == 0.0


def test_estimated_tokens_are_marked_and_reported_ones_are_not():
    lines = compact(
        trace(attempts=[attempt(usage=Usage(3, 4)), attempt(usage=Usage(3, 4), estimated=True)])
    )["usage"]
    assert "estimated" not in lines[0]
    assert lines[1]["estimated"] is True
    assert {"phase", "model", "input_tokens", "cached_tokens", "output_tokens", "usd"} <= set(
        lines[0]
    )


# -- compact ----------------------------------------------------------------------------------------------------------


def test_a_compact_trace_has_the_names_of_the_contract():
    shown = compact(
        trace(attempts=[attempt(usage=Usage(3, 4))], session_source="implicit", pinned=True)
    )
    assert set(shown) == {
        "trace_id", "mode", "requested_model", "task", "selected", "attempts", "session", "usage", "usd", "why",
    }  # fmt: skip
    assert shown["task"] == {
        "kind": "bugfix",
        "risk": "medium",
        "complexity": "medium",
        "turn": "user",
    }
    assert set(shown["selected"][0]) == {"candidate", "model", "phase", "total"}
    assert shown["attempts"] == [{"candidate": "coder-a", "status": "ok"}]
    assert shown["session"] == {"source": "implicit", "pinned": True}
    assert shown["why"].startswith(shown["selected"][0]["candidate"])


def test_an_attempt_shows_its_error_and_a_dry_run_says_so():
    shown = compact(
        trace(attempts=[attempt(status="error", error="upstream_timeout")], dry_run=True)
    )
    assert shown["attempts"][0]["status"] == "upstream_timeout"
    assert shown["dry_run"] is True


def test_a_trace_without_a_decision_is_shown_all_the_same():
    shown = compact(trace(decision=None))
    assert (shown["mode"], shown["task"], shown["selected"], shown["why"]) == (None, None, [], "")
    assert full(trace(decision=None, state=None))["decision"] is None


@pytest.mark.parametrize(("phase", "mode"), [("embeddings", "single"), ("classify", None)])
def test_without_a_decision_who_is_asked_for_the_answer_tells_the_mode(phase, mode):
    assert trace(decision=None, attempts=[attempt(phase=phase)]).mode == mode


def long_panel(members=8, attempts=12, id_chars=100, model_chars=200) -> Trace:
    models = [
        candidate(
            f"{i:0>{id_chars}}", model=f"v/{i:0>{model_chars - 2}}", benchmarks=solves(70 + i)
        )
        for i in range(members + 2)
    ]
    asked = task(options=Options(mode="panel", panel=tuple(m.id for m in models[:members])))
    decision = decide(asked, pool(*models), State(), Policy(panel_size=members))
    assert decision.mode == "panel"
    lines = [
        attempt(
            models[i % len(models)],
            Usage(123_456, 7_890, 100_000),
            "member",
            estimated=True,
            error="upstream_unavailable",
        )
        for i in range(attempts)
    ]
    return trace(
        decision=decision,
        attempts=lines,
        requested_model="m" * 200,
        session_source="header x-claude-code-session-id",
    )


@pytest.mark.parametrize(("id_chars", "model_chars"), [(12, 24), (40, 60), (100, 200)])
def test_a_compact_trace_of_a_large_panel_is_under_2_kb_and_says_what_is_left_out(
    id_chars, model_chars
):
    made = long_panel(id_chars=id_chars, model_chars=model_chars)
    shown, whole = compact(made), full(made)
    assert size(shown) <= COMPACT_BYTES < 2048
    assert shown["more"]
    for name in ("selected", "attempts", "usage"):
        assert len(shown[name]) >= 1
        assert len(shown[name]) + shown["more"].get(name, 0) == len(whole[name])
    assert shown["usage"] == whole["usage"][: len(shown["usage"])]
    assert shown["selected"] == whole["selected"][: len(shown["selected"])]
    assert shown["usd"] == made.usd()
    assert whole["requested_model"] == made.requested_model
    assert whole["why"] == one_sentence(made.decision)
    assert whole["why"].startswith(shown["why"])


@given(st.integers(2, 8), st.integers(0, 14), st.integers(3, 100), st.integers(4, 200))
def test_a_compact_trace_always_fits(members, attempts, id_chars, model_chars):
    made = long_panel(members, attempts, id_chars, model_chars)
    shown = compact(made)
    assert size(shown) <= COMPACT_BYTES
    if "more" not in shown:
        assert len(shown["attempts"]) == attempts


def test_who_answers_is_known_before_it_is_over():
    assert trace().speaker() is None
    first = attempt(CODER)
    assert trace(attempts=[first]).speaker() == "coder-a"
    beside = attempt(FAST, phase="hedge")
    hedged = Hedged("coder-a", "fast-a", 200.0, "hedge.after_s")
    both = trace(attempts=[first, beside], hedge=hedged)
    assert both.speaker() == "fast-a"
    both.hedge = replace(hedged, won="coder-a")
    assert both.speaker() == "coder-a"
    both.attempts.append(attempt(UNPRICED))  # the winner broke before a byte: somebody else speaks
    assert both.speaker() == "free-a"
    both.answered_by = "coder-a"
    assert both.speaker() == "coder-a"


def test_a_hedge_is_told_in_both_forms():
    told = {"first": "coder-a", "second": "fast-a", "after_ms": 200, "rule": "r", "won": None}
    made = trace(hedge=Hedged("coder-a", "fast-a", 200.0, "r"))
    assert full(made)["hedge"] == told
    assert compact(made)["hedge"] == {"second": "fast-a", "won": None}
    assert (full(trace())["hedge"], "hedge" in compact(trace())) == (None, False)


def test_a_short_trace_is_not_cut():
    made = trace(attempts=[attempt(usage=Usage(3, 4)) for _ in range(3)])
    shown = compact(made)
    assert "more" not in shown
    assert len(shown["attempts"]) == len(shown["usage"]) == 3


def test_a_sentence_gives_way_when_lists_alone_do_not_fit():
    made = long_panel(2, 1, 100, 200)
    made.requested_model = "\U0001f600" * 200
    shown = compact(made)
    assert size(shown) <= COMPACT_BYTES
    assert len(shown["why"]) < WHY_CHARS
    assert made.requested_model.startswith(shown["requested_model"])


def test_no_terms_and_no_prompt_are_in_a_compact_trace():
    assert "terms" not in json.dumps(compact(trace()))


# -- full -------------------------------------------------------------------------------------------------------------


def test_a_full_trace_shows_the_decision_that_was_recorded_and_every_attempt():
    made = long_panel()
    made.notes.append("a note")
    made.outcome, made.answered_by, made.answered_phase, made.ms = "ok", "x", "member", 12.5
    shown = full(made)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown["object"] == "openfusion.trace"
    assert shown["decision"]["digest"] == decision_digest(made.decision)
    assert len(shown["attempts"]) == len(shown["usage"]) == 12
    assert len(shown["selected"]) == len(made.decision.plan.steps)
    assert "more" not in shown
    assert shown["attempts"][0]["usage"]["input"] == 123_456
    assert shown["notes"] == ["a note"]
    assert shown["state"]["now_s"] == 0
    assert (shown["outcome"], shown["answered_by"], shown["ms"]) == ("ok", "x", 12.5)


# -- store ------------------------------------------------------------------------------------------------------------


def test_the_store_keeps_the_latest_and_gives_them_newest_first():
    store = TraceStore(2)
    for name in ("one", "two", "three"):
        store.add(trace(id=name))
    assert store.get("one") is None
    assert store.get("three").id == "three"
    assert [t.id for t in store.latest(5)] == ["three", "two"]
    assert [t.id for t in store.latest(1)] == ["three"]


def test_a_store_that_keeps_nothing_keeps_nothing():
    store = TraceStore(0)
    store.add(trace())
    assert store.latest(5) == []
