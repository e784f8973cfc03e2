"""What a call costs beside its tokens; over real sockets `tests/server/test_money.py` has the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openfusion_auto.core import cost
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.prompt import Answer, Options, Searched, Tiered, Usage
from openfusion_auto.runtime.charge import CHEAPER, DEARER, SOUND, US_ONLY, charge
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.wire.codec import CODECS
from tests.support.pools import CODER

USED = Usage(1_000, 100)
LISTED = cost.usd(CODER.price, USED)
PROMPT = CODECS["messages"].parse_request(
    b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
)


def charged(answer, options=None, *, model=CODER, offers=(), dry_run=False, lost=()):
    trace = Trace("tr_1", "openfusion/auto", "messages", False, 1.8e9, dry_run=dry_run)
    line = Attempt("primary", model.id, model.model, model.upstream, 1.0, status="ok", lost=lost)
    line.book(model, USED)
    prompt = replace(PROMPT, options=options or Options())
    charge(trace, line, prompt, model, answer, offers=offers)
    return line, [note.removeprefix(f"{model.id} ") for note in trace.notes]


def test_a_call_of_which_nothing_is_said_costs_its_tokens():
    line, notes = charged(Answer())
    assert (line.usd, line.billed, line.least_usd, line.times) == (LISTED, False, None, 1.0)
    assert notes == []


@pytest.mark.parametrize(
    ("told", "asked", "times"),
    [(True, (), 1.1), (True, ("relay",), 1.1), (False, ("relay",), 1.0), (None, ("relay",), 1.1),
     (None, ("other",), 1.0)],
)  # fmt: skip
def test_an_answer_computed_in_the_us_alone_costs_more(told, asked, times):
    line, notes = charged(Answer(us_only=told), Options(us_only=asked))
    assert (line.usd, line.times) == (pytest.approx(LISTED * times), times)
    assert notes == ([US_ONLY] if times > 1 else [])


def test_a_search_is_added_behind_what_the_place_costs():
    options = Options(searching=(Searched("relay", 0.01, 3),))
    line, _ = charged(Answer(us_only=True, searches=2), options)
    assert line.usd == pytest.approx(1.1 * LISTED + 0.02)


def test_a_long_prompt_is_said_and_both_surcharges_meet():
    longer = (LongPrice(999, 1.0, 4.0),)
    model = replace(CODER, price=replace(CODER.price, long_context=longer))
    line, notes = charged(Answer(us_only=True), model=model)
    assert line.usd == pytest.approx(1.1 * (1_000 * 1.0 + 100 * 4.0) / 1e6)
    assert notes == [f"read 1,000 tokens: {longer[0]}", US_ONLY]


def test_a_bill_stands_before_everything():
    line, notes = charged(Answer(us_only=True, billed_usd=7.0, tier="dearer"), offers=("provider",))
    assert (line.usd, line.billed, line.times, notes) == (7.0, True, 1.0, [])


@pytest.mark.parametrize(
    ("answer", "options", "lost", "note"),
    [
        (Answer(tier="dearer", us_only=True), Options(), (), DEARER),
        (Answer(), Options(tiers=(Tiered("relay", "dearer"),)), (), DEARER),
        (Answer(sound=True), Options(), (), SOUND),
    ],
)
def test_what_nobody_says_the_price_of_is_unknown_and_its_tokens_are_the_least(
    answer, options, lost, note
):
    line, notes = charged(answer, options, lost=lost)
    assert (line.usd, line.billed, line.least_usd, notes) == (None, True, LISTED, [note])


def test_a_slower_tier_keeps_its_list_price_and_one_that_was_left_out_is_none():
    options = Options(tiers=(Tiered("relay", "cheaper"),))
    line, notes = charged(Answer(), options)
    assert (line.usd, notes) == (LISTED, [CHEAPER])
    assert charged(Answer(), options, lost=("field speed, which the model refuses",))[1] == []


def test_in_a_dry_run_nobody_is_paid():
    line, _ = charged(Answer(us_only=True), dry_run=True)
    assert (line.usd, line.billed, line.least_usd, line.times) == (0.0, False, None, 1.0)
