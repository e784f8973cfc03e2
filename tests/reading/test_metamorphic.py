"""What must not change a reading, or only seldom: envelope, pastes, case, courtesy, synonyms, translation.

Where the reader is a statistical one, a rule holds for a share of cases. The shares are set slightly under what was
measured (`docs/explanation/reading.md`); where they are low the reader is weak.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.classify import read
from openfusion_auto.core.prompt import Message, Part, Prompt
from openfusion_auto.wire.chat_request import parse_request
from tests.core.test_classify import AGENT, BLOCKS, TOOLS
from tests.reading.labelled import HERE, asked_of, labelled
from tests.support.prompts import chat, user

Reading = tuple[str, str, str]
ROWS = labelled("judge")
ALONE = [asked_of(row) for row in ROWS if len(row["messages"]) == 1]
ONE_LINE = [text for text in ALONE if "\n" not in text]
ORDERS = [text for text in ONE_LINE if not text.rstrip().endswith(("?", "？"))]
CLIENTS = [
    json.loads(line)["body"]
    for line in (HERE.parent / "core" / "client_requests.jsonl").read_text("utf-8").splitlines()
    if not json.loads(line)["aux"]
]


def reading(prompt: Prompt) -> Reading:
    task = read(prompt)
    return task.kind, task.risk, task.complexity


def said(text: str) -> Reading:
    return reading(user(text))


def same(pairs: Sequence[tuple[Reading, Reading]]) -> dict[str, float]:
    """Return for each axis the share of pairs that agree."""
    return {
        axis: sum(a[i] == b[i] for a, b in pairs) / len(pairs)
        for i, axis in enumerate(("kind", "risk", "complexity"))
    }


def holds(shares: dict[str, float], **least: float) -> None:
    assert all(shares[axis] >= share for axis, share in least.items()), shares


# -- the envelope: nothing changes, ever -------------------------------------------------------------------------------


@given(st.sampled_from(ROWS), st.permutations(BLOCKS), st.integers(0, 4), st.booleans())
def test_tools_a_system_prompt_and_blocks_change_nothing(row, blocks, many, behind):
    talk = list(row["messages"])
    plain = reading(chat(talk))
    last = talk[-1]
    if last["role"] != "user" or not isinstance(last["content"], str):
        return
    pieces = [last["content"], *blocks[:many]] if behind else [*blocks[:many], last["content"]]
    dressed = [*talk[:-1], {**last, "content": "\n\n".join(pieces)}]
    if talk[0]["role"] != "system":
        dressed = [{"role": "system", "content": AGENT}, *dressed]
    assert reading(chat(dressed, tools=TOOLS)) == plain


@given(st.sampled_from(ALONE), st.sampled_from(CLIENTS))
def test_a_clients_own_system_prompt_and_tools_change_nothing(text, body):
    system = [m for m in body["messages"] if m["role"] in ("system", "developer")]
    whole = {
        **body,
        "model": "openfusion/auto",
        "messages": [*system, {"role": "user", "content": text}],
    }
    plain = {"model": "openfusion/auto", "messages": [{"role": "user", "content": text}]}
    assert reading(parse_request(json.dumps(whole).encode())) == reading(
        parse_request(json.dumps(plain).encode())
    )


@given(st.sampled_from(ALONE))
def test_reminders_as_parts_of_their_own_change_nothing(text):
    parts = tuple(Part("text", t) for t in (*BLOCKS, text, BLOCKS[0]))
    assert reading(Prompt("messages", "m", (Message("user", parts),))) == said(text)


# -- pastes ------------------------------------------------------------------------------------------------------------

LOGS = {
    "build": [f"[00:{i // 60:02}:{i % 60:02}] step {i}: compile auth/module_{i}.ts ... ok" for i in range(400)],
    "access": [f'10.0.{i % 7}.{i % 200} - - [25/Nov/2026:10:00:{i % 60:02}] "DELETE /api/users/{i}" 500' for i in range(400)],
    "app": [f"2026-11-25 10:00:{i % 60:02},{i:03} ERROR payment.worker deadlock detected for invoice {i}" for i in range(400)],
    "npm": [f"npm WARN deprecated package-{i}@1.{i}.0: security vulnerability, use another" for i in range(400)],
}  # fmt: skip
QUESTIONS = [
    "Which step comes last?",
    "What does this log say?",
    "what is the first timestamp in here?",
    "How many lines is that?",
    "Is this a warning or an error?",
    "What does WARN mean?",
]


@pytest.mark.parametrize("log", sorted(LOGS))
@pytest.mark.parametrize("behind", [False, True])
def test_a_trivial_question_stays_low_beside_a_log_of_400_lines(log, behind):
    text = "\n".join(LOGS[log])
    for question in QUESTIONS:
        asked = f"{text}\n\n{question}" if behind else f"{question}\n\n{text}"
        kind, risk, complexity = said(asked)
        assert risk == "low", (question, kind)
        assert complexity != "high", question
    lows = [said(f"{q}\n\n{text}")[2] == "low" for q in QUESTIONS]
    assert sum(lows) / len(lows) >= 0.6


# -- how it is said ----------------------------------------------------------------------------------------------------

STYLES: dict[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "upper case": str.upper,
    "blanks around": lambda t: f"  {t}\n\n",
    "full stop": lambda t: t.rstrip(".!") + ".",
    "exclamation mark": lambda t: t.rstrip(".!") + "!",
    "dots": lambda t: t.rstrip(".!") + "...",
    "greeting": lambda t: f"Hey, {t}",
    "please before": lambda t: f"please {t}",
    "please behind": lambda t: t.rstrip(".!") + ", please",
    "could you": lambda t: f"Could you {t}",
    "could you please ?": lambda t: "could you please " + t.rstrip(".!") + "?",
    "thanks": lambda t: t.rstrip(".!") + ". Thanks!",
}


@pytest.mark.parametrize("style", list(STYLES))
def test_letter_case_marks_and_courtesy_change_next_to_nothing(style):
    shares = same([(said(text), said(STYLES[style](text))) for text in ORDERS])
    holds(shares, kind=0.95, risk=0.95, complexity=0.95)


def test_synonyms_seldom_change_a_reading():
    pairs = json.loads((HERE / "synonyms.json").read_text(encoding="utf-8"))
    shares = same([(said(a), said(b)) for a, b in pairs])
    holds(shares, kind=0.83, risk=0.80, complexity=0.60)


TRANSLATIONS = json.loads((HERE / "translations.json").read_text(encoding="utf-8"))
LANGUAGES = ("de", "fr", "es", "zh", "ja")


def test_a_translated_task_is_mostly_read_alike():
    pairs = [(said(row["en"]), said(row[lang])) for row in TRANSLATIONS for lang in LANGUAGES]
    holds(same(pairs), kind=0.80, risk=0.72, complexity=0.68)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_language_is_read(lang):
    pairs = [(said(row["en"]), said(row[lang])) for row in TRANSLATIONS]
    holds(same(pairs), kind=0.64, risk=0.56, complexity=0.60)


def test_plain_tasks_get_the_kind_that_they_are():
    right = [said(row["en"])[0] == row["kind"] for row in TRANSLATIONS]
    assert sum(right) / len(right) >= 0.92


def test_scary_words_used_trivially_stay_low():
    texts = json.loads((HERE / "trivial.json").read_text(encoding="utf-8"))
    low = [said(text)[1] == "low" for text in texts]
    assert sum(low) / len(low) >= 0.88


# -- what follows a task -----------------------------------------------------------------------------------------------

FOLLOWS = [
    "yes",
    "Yes, go on.",
    "go on",
    "2",
    "ok",
    "continue",
    "ja, mach weiter",
    "好的",
    "はい",
    "sí, adelante",
]


@given(st.sampled_from(ALONE), st.lists(st.sampled_from(FOLLOWS), min_size=1, max_size=3))
def test_agreement_keeps_the_reading_of_the_task(text, follows):
    plain = read(user(text))
    if plain.kind == "aux":
        return
    talk = [{"role": "user", "content": text}]
    for follow in follows:
        talk += [
            {"role": "assistant", "content": "Step 1 is done. Next step?"},
            {"role": "user", "content": follow},
        ]
    task = read(chat(talk))
    assert (task.kind, task.risk, task.complexity) == (plain.kind, plain.risk, plain.complexity)


@given(st.sampled_from(ALONE))
def test_a_new_question_is_a_task_of_its_own(text):
    question = "what does the abbreviation TTL stand for?"
    talk = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": "All done."},
        {"role": "user", "content": question},
    ]
    assert reading(chat(talk)) == said(question) == ("explain", "low", "low")
