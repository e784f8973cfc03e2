"""Words are kept with a trace where the operator asks for it, and nowhere else."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import Answer
from openfusion_auto.runtime.archive import restored, row_of, shown
from openfusion_auto.runtime.texts import MOST_ANSWERS, MOST_CHARS, Texts, texts_of
from openfusion_auto.runtime.trace import full
from openfusion_auto.upstream.reply import Reply
from openfusion_auto.wire.chat_request import parse_request
from tests.support.pools import EVEN
from tests.support.rig import Rig

SECRET = "the plum is on the sill"
ANALYSIS = {"consensus": [f"all say {SECRET}"], "contradictions": [], "partial_coverage": [],
            "unique_insights": [], "blind_spots": []}  # fmt: skip
PANEL = {"mode": "panel", "analysis": True, "aggregator": "judge"}


def judged(body):
    """Members answer with their own name; the judge analyses, then picks the first."""
    said = json.dumps(body["messages"])
    if "Compare the independent answers" in said:
        return Reply(json.dumps(ANALYSIS))
    if "Answer with one JSON object" in said:
        return Reply('{"best": 1}')
    return Reply(f"{SECRET}, says {body['model']}")


async def panel(**engine):
    rig = Rig(judged, pool=EVEN, **engine)
    return await rig.ask(f"Where is it? {SECRET}", openfusion=PANEL)


async def test_nothing_that_is_kept_or_shown_later_holds_a_word_unless_asked():
    body, trace = await panel()
    assert body["openfusion"]["analysis"]["consensus"] == ANALYSIS["consensus"]
    assert trace.texts is None
    row = row_of(trace)
    assert "texts" not in shown(row)
    assert restored(row.document).deliberation.analysis is None
    assert SECRET not in json.dumps(full(trace)) + json.dumps(shown(row)) + row.summary
    assert SECRET not in repr(restored(row.document))


async def test_what_was_asked_and_every_answer_are_kept_when_asked():
    body, trace = await panel(keep_texts=True)
    found = shown(row_of(trace))["texts"]
    assert found == full(trace)["texts"]
    assert found["asked"] == f"Where is it? {SECRET}"
    members = [s for s in found["answers"] if s["phase"] == "member"]
    assert [s["text"] for s in members] == [f"{SECRET}, says vendor/{s['candidate']}" for s in members]  # fmt: skip
    assert len(members) == 3
    assert found["analysis"] == ANALYSIS
    assert "texts" not in body["openfusion"]


async def test_an_answer_does_not_repeat_its_own_words_in_a_full_trace():
    rig = Rig([Reply("42")], keep_texts=True)
    body, _ = await rig.ask("how many?", openfusion={"trace": "full"})
    assert "texts" not in body["openfusion"]
    assert body["openfusion"]["object"] == "openfusion.trace"


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        ([{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}], "one"),
        ([{"role": "user", "content": "one"}, {"role": "user", "content": [{"type": "text", "text": "two"}]}], "two"),
        ([{"role": "system", "content": "be good"}], ""),
    ],
)  # fmt: skip
def test_asked_is_what_was_said_last_in_the_clients_own_words(messages, asked):
    body = json.dumps({"model": "m", "messages": messages}).encode()
    assert texts_of(parse_request(body)).asked == asked


def test_texts_are_bounded_and_say_so():
    long = "x" * (MOST_CHARS + 1)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": long}]}).encode()
    found = texts_of(parse_request(body))
    assert (len(found.asked), found.cut) == (MOST_CHARS, True)
    for _ in range(MOST_ANSWERS + 5):
        found.answered("member", "a", Answer(long))
    assert len(found.answers) == MOST_ANSWERS
    assert all(len(s.text) == MOST_CHARS and s.cut for s in found.answers)


def test_a_request_without_a_panel_has_no_analysis():
    made = Texts("hi")
    made.heard(None)
    assert made.analysis is None
