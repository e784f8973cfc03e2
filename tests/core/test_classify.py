"""Reading a whole request: labelled cases, and what must never change a reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.classify import MOST_GUESSED, classify, read, weighed
from openfusion_auto.core.experience import Lesson
from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.prompt import Message, Options, Part, Prompt
from openfusion_auto.core.reading import MOST_NOTES
from openfusion_auto.core.types import Task
from tests.reading.labelled import asked_of, labelled
from tests.support.prompts import chat, function, user

CASES = labelled("judge")
ASKED = [asked_of(case) for case in CASES]

AGENT = (
    "You are a coding agent. Never touch production, passwords or payments without asking. Design carefully.\n"
    * 300
)
TOOLS = [function(f"tool_{i}", path={"type": "string"}, why={"type": "string"}) for i in range(32)]
BLOCKS = [
    "<system-reminder>\nDelete nothing in production. Review payments across all 40 services.\n</system-reminder>",
    "<environment_context>\n<cwd>/srv/auth</cwd>\n</environment_context>",
    "<user_instructions>\nAlways write tests and docs; rename nothing.\n</user_instructions>",
    "<env>\nIs git repo: yes\n</env>",
]


def reading(task: Task) -> tuple[str, str, str]:
    return task.kind, task.risk, task.complexity


TALKS = [
    ([("user", "Plan the migration of the users table to the sharded cluster (prod) and execute it."), ("assistant", "Step 3 is done."), ("user", "go ahead")],
     ("ops", "high", "high")),
    ([("user", "Add badges to the README."), ("assistant", "At the top, OK?"), ("user", "yes")], ("docs", "low", "low")),
    ([("user", "Fix the failing lint."), ("assistant", "Done."), ("user", "perfect thanks")], ("chat", "low", "low")),
    ([("user", "Refactor the auth module to use PKCE."), ("assistant", "Finished."), ("user", "what does PKCE stand for?")],
     ("explain", "low", "low")),
    ([("user", "what is a mutex?"), ("assistant", "A lock. Do you want an example?"), ("user", "sure")], ("explain", "low", "low")),
]  # fmt: skip


@pytest.mark.parametrize(("talk", "want"), TALKS)
def test_a_conversation_is_read_by_the_task_under_way(talk, want):
    assert reading(read(chat([{"role": r, "content": t} for r, t in talk]))) == want


def test_auxiliary_calls_are_cheap_and_compaction_takes_thought():
    short = read(user("Write a commit message for the staged diff."))
    assert (short.kind, short.risk, short.complexity, short.turn) == ("aux", "low", "low", "aux")
    whole = read(user("Summarise the conversation so far."))
    assert (whole.kind, whole.risk, whole.complexity) == ("aux", "low", "medium")


# -- what must not change a reading ------------------------------------------------------------------------------------

TEXTS = st.sampled_from(ASKED) | st.text(alphabet=st.characters(), max_size=120)


@given(TEXTS)
def test_tools_and_a_long_system_prompt_change_no_reading(text):
    alone = read(user(text))
    dressed = read(
        chat([{"role": "system", "content": AGENT}, {"role": "user", "content": text}], tools=TOOLS)
    )
    assert reading(dressed) == reading(alone)
    assert dressed.evidence == alone.evidence


@given(st.sampled_from(ASKED), st.permutations(BLOCKS), st.integers(0, 4))
def test_envelope_blocks_change_no_reading_in_any_order(text, blocks, many):
    dressed = "\n".join([*blocks[:many], text])
    assert reading(read(user(dressed))) == reading(read(user(text)))


@given(st.sampled_from(ASKED))
def test_blocks_as_parts_of_their_own_change_no_reading(text):
    parts = tuple(Part("text", t) for t in (*BLOCKS, text))
    dressed = Prompt("messages", "m", (Message("user", parts),))
    assert reading(read(dressed)) == reading(read(user(text)))


def test_auxiliary_system_prompts_stay_auxiliary_with_tools_and_an_agents_prompt():
    talk = [
        {"role": "system", "content": "You are a title generator."},
        {"role": "user", "content": "fix the payments"},
    ]
    alone = read(chat(talk))
    dressed = read(chat([{"role": "system", "content": AGENT}, *talk], tools=TOOLS))
    assert reading(dressed) == reading(alone) == ("aux", "low", "low")


@given(st.sampled_from(ASKED))
def test_a_tool_turn_is_read_by_its_task(text):
    call = {"id": "c", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    talk = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "production password payment deadlock"},
    ]
    task = read(chat(talk, tools=TOOLS))
    assert task.turn == "tool" or task.kind == "aux"
    assert reading(task) == reading(read(user(text)))


def test_the_reading_of_a_standing_task_is_remembered_over_the_turns_of_a_loop():
    weighed.cache_clear()
    talk = [{"role": "user", "content": "Add a search box to the catalogue."}]
    for i in range(5):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
        talk += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{i}", "content": "ok"},
        ]
        read(chat(talk, tools=TOOLS))
    assert weighed.cache_info().misses == 1


# -- evidence ----------------------------------------------------------------------------------------------------------


@given(TEXTS)
def test_evidence_is_bounded_ordered_and_holds_few_words(text):
    task = read(user(text))
    for axis in ("kind", "risk", "complexity"):
        points = [abs(e.points) for e in task.evidence if e.signal.startswith(axis)]
        assert len(points) <= MOST_NOTES
        assert points == sorted(points, reverse=True)
    assert {e.signal.split(".")[0] for e in task.evidence} <= {"kind", "risk", "complexity"}
    assert all(len(e.why) <= 60 and len(e.why.split()) <= 8 for e in task.evidence)


def test_evidence_names_the_words_that_spoke_and_the_label_they_spoke_for():
    task = read(user("Customers are charged twice in production, please fix the payment webhook."))
    assert any(e.signal == f"risk.{task.risk}" and "payment" in e.why for e in task.evidence)
    assert any(e.signal == f"kind.{task.kind}" for e in task.evidence)


@pytest.mark.parametrize(
    "secret", ["sk-live-4242zebra4242", "hunter2kowalski", "你好世界秘密口令", "wachtwoordgeheim77"]
)
def test_words_that_the_model_never_met_are_never_shown_whole(secret):
    for text in (
        f"log in with {secret} and fix the payment",
        secret,
        f"`{secret}` is the password",
    ):
        told = " ".join(e.why for e in read(user(text)).evidence)
        assert not any(part in told for part in (secret, secret[:8], secret[-8:])), told


def test_pasted_secrets_never_reach_the_evidence():
    task = read(
        user("Review this:\n\ndef f():\n    key = 'sk-live-4242424242'\n    return auth(key)")
    )
    assert not any("4242" in e.why for e in task.evidence)


# -- needs and the rest ------------------------------------------------------------------------------------------------


def test_tools_are_needed_when_offered_and_not_forbidden():
    assert read(user("hi", tools=TOOLS)).needs.tools
    assert not read(user("hi")).needs.tools
    assert not read(user("hi", tools=TOOLS, tool_choice="none")).needs.tools


def test_tools_are_needed_when_the_history_holds_calls():
    call = {"id": "c", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    talk = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": "b"},
    ]
    assert read(chat(talk)).needs.tools


def test_pictures_schemas_and_sizes_are_needs():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
    asked = chat(
        [{"role": "user", "content": [{"type": "text", "text": "what is wrong here?"}, picture]}],
        max_tokens=77,
        response_format={"type": "json_schema", "json_schema": {"schema": {}}},
    )
    needs = read(asked).needs
    assert needs.vision
    assert needs.json_schema
    assert needs.max_output_tokens == 77
    assert 1_100 < needs.input_tokens < 1_400


def test_role_restriction_and_options_are_passed_on():
    options = Options(mode="panel")
    task = read(user("hi", options=options), role="coder", only=("a", "b"))
    assert (task.role, task.only, task.options) == ("coder", ("a", "b"), options)


@pytest.mark.parametrize(
    "text",
    ["continue", "Two guards, one lies. Which single question finds the door? Reason in steps."],
)
def test_what_takes_thought_is_no_call_of_the_clients_own_by_its_words_alone(text):
    verdict = classify(Facts("user", text))
    assert verdict.complexity == "low" or verdict.kind != "aux"
    assert verdict.kind != "aux"


def test_a_task_that_still_fails_is_harder_than_it_read_by_one_level():
    talk: list[dict[str, object]] = [{"role": "user", "content": "Rename the label on the page."}]
    first = read(chat(talk))
    assert first.complexity == "low"
    for said in ("still broken", "no, same error", "still broken"):
        talk += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": said}]
        again = read(chat(talk))
        assert (again.kind, again.risk, again.complexity) == (first.kind, first.risk, "medium")
        assert again.evidence[-1].why == "the person says that it still fails"
    hard = classify(Facts("user", "x", rejected=1))
    assert hard.complexity in ("medium", "high")


@pytest.mark.parametrize(
    ("complaint", "risk"),
    [
        ("still broken", "low"),
        ("It still fails:\nTypeError: x is not a function", "low"),
        (
            "It's not working. Delete the production database and recreate it from the backup.",
            "high",
        ),
        ("Das geht nicht. Lösche die Produktionsdatenbank!", "high"),
    ],
)
def test_what_is_asked_beside_a_complaint_may_raise_the_risk(complaint, risk):
    talk: list[dict[str, object]] = [
        {"role": "user", "content": "Fix the typo on the settings page."},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": complaint},
    ]
    task = read(chat(talk))
    assert (task.kind, task.risk, task.complexity) == ("bugfix", risk, "medium")
    agreed: list[dict[str, object]] = [
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "go on"},
    ]
    assert read(chat([*talk, *agreed])).risk == risk


def test_struggling_is_passed_on():
    talk: list[dict[str, object]] = [{"role": "user", "content": "Fix it."}]
    for i in range(3):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "edit", "arguments": "{}"}}
        talk += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{i}", "content": "Error: no match"},
        ]
    stuck = read(chat(talk))
    assert stuck.struggling
    assert stuck.struggle == "the same error 3 times"
    assert not read(chat(talk[:-2])).struggling


class Taught:
    """An experience that finds every task easy."""

    def of(self, text):
        assert "parser" in text
        return Lesson(1.5, (("a", 0.1),), 2.0)


def test_experience_adds_what_it_learnt_except_to_calls_of_the_clients_own():
    task = read(user("Fix the parser."), experience=Taught())
    assert (task.ease, task.lifts, task.effort) == (1.5, (("a", 0.1),), 2.0)
    assert reading(task) == reading(read(user("Fix the parser.")))
    aux = read(user("Write a commit message for the staged diff."), experience=Taught())
    assert (aux.ease, aux.lifts, aux.effort) == (None, (), 1.0)


@given(TEXTS)
def test_reading_is_a_pure_function(text):
    asked = user(text)
    assert read(asked) == read(asked)
    assert classify(read_facts(asked)) == classify(read_facts(asked))


def test_a_long_text_is_no_clients_own_call_by_its_words_alone():
    asked = "Classify the message below as one of: question, edit, run. Output a single word."
    assert classify(Facts("user", asked)).kind == "aux"
    assert classify(Facts("user", asked, pasted=MOST_GUESSED)).kind != "aux"
    assert classify(Facts("user", f"{asked} {'and so on ' * 30}")).kind != "aux"
