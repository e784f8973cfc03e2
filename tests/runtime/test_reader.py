"""A server reads as its operator says."""

from dataclasses import replace

import pytest

from openfusion_auto.core.classify import read
from openfusion_auto.core.decide import decide
from openfusion_auto.core.prompt import Options, Usage
from openfusion_auto.core.rules import Span, rule
from openfusion_auto.core.types import Forced, Policy, State
from openfusion_auto.runtime.reader import Reader, every_turn, left_of, share_of
from openfusion_auto.runtime.trace import Attempt, Trace
from tests.support.pools import CODER, FOUR, pool
from tests.support.prompts import chat, function, user

WORDS = "Rename the variable in src/auth/login.py"


def read_with(reader, prompt, **more):
    return reader.read(prompt, "s", **{"role": None, "only": (), **more})


def test_without_settings_it_is_the_trained_reading():
    assert read_with(Reader(), user(WORDS)) == read(user(WORDS))


def test_rules_are_applied():
    high = rule("auth", paths=["src/auth/"], risk=Span("high", "high"))
    got = read_with(Reader((high,)), user(WORDS), role="coder", only=("a",))
    assert (got.risk, got.role, got.only) == ("high", "coder", ("a",))
    assert got.evidence[-1].signal == "rule.auth"


# -- always and never ------------------------------------------------------------------------------------------------

ALWAYS, NEVER = Reader(mode=every_turn("always")), Reader(mode=every_turn("never"))
TOOL_TURN = chat(
    [
        {"role": "user", "content": WORDS},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ],
    tools=[function("run")],
)


@pytest.mark.parametrize("words", [WORDS, "hello there", "Drop the users table in production"])
@pytest.mark.parametrize(("reader", "mode", "name"), [(ALWAYS, "panel", "always"), (NEVER, "single", "never")])  # fmt: skip
def test_every_persons_turn_is_answered_so_and_the_reason_says_why(reader, mode, name, words):
    got = decide(read_with(reader, user(words)), FOUR, State(), Policy(mode="verify"))
    assert got.mode == mode
    assert f'{mode}: classifier.mode = "{name}" asks for it' in got.reasons


def test_a_tool_turn_stays_single():
    assert decide(read_with(ALWAYS, TOOL_TURN), FOUR, State()).mode == "single"


def test_without_enough_candidates_there_is_no_panel():
    got = decide(read_with(ALWAYS, user(WORDS)), pool(CODER), State())
    assert got.mode == "single"
    assert "single: only one candidate can serve" in got.reasons


def test_the_requests_own_mode_wins():
    asked = user(WORDS, options=Options(mode="single"))
    assert decide(read_with(ALWAYS, asked), FOUR, State()).mode == "single"
    asked = user(WORDS, options=Options(mode="panel"))
    assert decide(read_with(NEVER, asked), FOUR, State()).mode == "panel"


def test_a_rule_wins_over_always():
    one = rule("auth", paths=["src/auth/"], mode="verify")
    got = read_with(replace(ALWAYS, rules=(one,)), user(WORDS))
    assert got.forced == Forced("verify", "rule auth asks for it")


@pytest.mark.parametrize("mode", ["heuristic", "model"])
def test_the_other_modes_force_nothing(mode):
    assert every_turn(mode) is None


# -- what a question has used ----------------------------------------------------------------------------------------


def spent(*usd):
    trace = Trace("tr_1", "openfusion/auto", "chat", stream=False, at=0.0)
    for amount in usd:
        line = Attempt("classify", "fast-a", "vendor/fast-a", "relay", 0.0, usd=amount)
        trace.attempts.append(line)
    return trace


def test_what_was_used_is_taken_off_the_tighter_limits():
    trace = spent(0.02)
    trace.attempts[0].book(CODER, Usage(20_000, 0))
    left = left_of(Policy(max_usd=0.5, max_calls=12), Options(max_usd=0.1, max_calls=3), trace)
    assert left.max_usd == pytest.approx(0.1 - trace.usd())
    assert left.max_calls == 2


def test_of_an_unknown_sum_its_least_is_taken_off():
    trace = spent(None, 0.02)
    trace.attempts[0].least_usd = 0.03
    assert left_of(Policy(max_usd=0.5), Options(), trace).max_usd == pytest.approx(0.45)


def test_where_nothing_was_used_or_limited_nothing_changes():
    assert left_of(Policy(), Options(), spent()) == Policy()
    assert left_of(Policy(), Options(), spent(0.1)) == Policy(max_calls=11)


def test_a_question_leaves_a_call_and_most_of_the_money():
    assert share_of(Policy(max_calls=4), Options()) == (3, None)
    assert share_of(Policy(max_calls=4, max_usd=1.0), Options(max_calls=2, max_usd=2.0)) == (1, 0.1)
