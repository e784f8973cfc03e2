"""The second opinion: who may give it, and what counts as one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.mcp import review
from openfusion_auto.mcp.shapes import SecondOpinion

RANKING = [("opus", "anthropic/claude-opus-4.5"), ("gpt", "openai/gpt-5.5"), ("glm", "z/glm-5")]


@pytest.mark.parametrize(
    ("author", "out"),
    [
        ("opus", ["opus"]),
        ("anthropic/claude-opus-4.5", ["opus"]),
        ("Claude Opus 4.5", ["opus"]),
        ("claude-opus-4-5-20251101", ["opus"]),
        ("gpt-5.5-mini", ["gpt"]),  # in doubt another one
        ("llama-9", []),
        ("", []),
        ("g", []),  # too short to stand for anything
    ],
)
def test_the_author_is_left_out_however_it_is_written(author, out):
    may, left = review.others(RANKING, author)
    assert left == out
    assert may == [c for c, _ in RANKING if c not in out]


@given(st.text(min_size=1), st.text(), st.text())
def test_what_is_checked_can_not_end_its_frame(task, answer, context):
    asked = SecondOpinion.model_construct(task=task, answer=answer, context=context)
    (message,) = review.request(asked)
    start = message["content"].index("{")
    given_, end = json.JSONDecoder().raw_decode(message["content"], start)
    assert (given_["task"], given_["answer"]) == (task, answer)
    assert message["content"][end:].lstrip().startswith("Answer with one JSON object")


def test_a_verdict_is_read_out_of_whatever_stands_around_it():
    said = 'Let me see {"verdict": "agree"}.\n```json\n{"verdict": "disagree", "summary": "no", "findings": '
    said += '[{"severity": "blocker", "what": "off by one", "where": "line 3"}, {"severity": "?", "what": "b"}, 7]}\n```'
    verdict, summary, findings = review.read(said)
    assert (verdict, summary) == ("disagree", "no")
    assert [(f.severity, f.what, f.where) for f in findings] == [
        ("blocker", "off by one", "line 3"),
        ("major", "b", ""),
    ]


@pytest.mark.parametrize(
    "said",
    [
        "I agree.",
        '{"verdict": "fine"}',
        '{"verdict": "disagree", "findings": []}',  # nothing that anybody could use
        '{"verdict": "disagree", "findings": [{"what": ""}]}',
        '["agree"]',
        "",
    ],
)
def test_what_is_no_opinion_is_not_made_one(said):
    verdict, summary, findings = review.read(said)
    assert verdict == "unreadable"
    assert summary == said
    assert findings == []


@given(st.text(max_size=200))
def test_any_reply_is_read_without_an_error(said):
    assert review.read(said)[0] in ("agree", "disagree", "unreadable")


def test_agreement_may_come_with_findings_and_twelve_at_most():
    findings = [{"what": f"n{i}", "severity": "minor"} for i in range(30)]
    verdict, _, found = review.read(json.dumps({"verdict": "agree", "findings": findings}))
    assert verdict == "agree"
    assert len(found) == review.MOST_FINDINGS
