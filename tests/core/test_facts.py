"""Whose words, which task, which turn, what the tools said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.facts import (
    CALL_CHARS,
    CALLS_CHARS,
    REJECTED,
    Facts,
    is_agreement,
    is_closing,
    read_facts,
)
from openfusion_auto.core.prompt import Message, Part, Prompt, ToolCall
from tests.support.prompts import chat, function, user

TASK = "Convert the 60 class components to hooks."


def said(role: str, text: str) -> dict[str, object]:
    return {"role": role, "content": text}


def call(number: int, name: str = "bash", text: str | None = None) -> dict[str, object]:
    made = {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return {"role": "assistant", "content": text, "tool_calls": [made]}


def result(number: int, text: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": f"c{number}", "content": text}


# -- the standing task -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "yes", "Yes, go on", "ok do it", "continue", "go ahead", "Sure!", "yep", "commit it", "please continue", "lgtm, ship it",
        "weiter", "ja bitte", "mach weiter", "oui", "vas-y", "d'accord", "sí, adelante", "claro", "sim, pode continuar",
        "va bene, procedi", "ga door", "да", "давай", "продолжай", "はい", "続けてください", "好的", "继续", "네", "계속해 주세요", "हाँ",
        "जारी रखें", "tak", "👍", "option 2", "all of them", "sounds good", "yes please, do that",
    ],
)  # fmt: skip
def test_agreement_leaves_the_task_as_it_was(words):
    facts = read_facts(
        chat([said("user", TASK), said("assistant", "12 of 60 done. Go on?"), said("user", words)])
    )
    assert facts.words == TASK
    assert facts.turn == "user"
    assert not facts.closing


@pytest.mark.parametrize(
    "words",
    [
        "what does PKCE stand for?",
        "no, rename it first",
        "yes, but also add tests for the parser",
        "Write a README.",
        "why?",
    ],
)
def test_words_of_their_own_are_the_task(words):
    facts = read_facts(
        chat([said("user", TASK), said("assistant", "Done. Anything else?"), said("user", words)])
    )
    assert facts.words == words


def test_several_agreements_reach_back_to_the_task():
    talk = [said("user", TASK)]
    for words in ("ok", "continue", "go on", "yes"):
        talk += [said("assistant", "Next step?"), said("user", words)]
    assert read_facts(chat(talk)).words == TASK


def test_a_short_answer_to_a_question_is_no_task_of_its_own():
    talk = [
        said("user", TASK),
        said("assistant", "Which icon, box or arrow?"),
        said("user", "the blue box one"),
    ]
    assert read_facts(chat(talk)).words == TASK
    talk[1] = said("assistant", "All done.")
    assert read_facts(chat(talk)).words == "the blue box one"


def test_agreement_reaches_back_to_a_task_that_was_only_pasted():
    trace = "TypeError: a is undefined\n    at Grid (Grid.tsx:41:28)\n    at render (react.js:1:18)"
    talk = [said("user", "a first task"), said("assistant", "Done."), said("user", trace)]
    talk += [said("assistant", "Next step?"), said("user", "yes")]
    facts = read_facts(chat(talk))
    assert facts.words == read_facts(user(trace)).words == ""
    assert "trace" in facts.marks


def test_agreement_reaches_back_to_a_picture():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    talk = [
        said("user", "a first task"),
        said("assistant", "Done."),
        {"role": "user", "content": [picture]},
    ]
    talk += [said("assistant", "Next step?"), said("user", "yes")]
    assert read_facts(chat(talk)).words == ""


def test_agreement_with_nothing_before_is_all_there_is():
    assert read_facts(user("ok")).words == "ok"


def test_agreement_does_not_reach_into_aiders_example():
    talk = [
        said("user", "Change get_factorial() to use math.factorial"),
        said("assistant", "Ok."),
        said("user", "I switched to a new code base. Please don't consider the above files."),
        said("assistant", "Ok."),
        said("user", "yes"),
    ]
    assert read_facts(chat(talk)).words == "yes"


def test_the_offer_that_was_agreed_to_is_kept():
    talk = [
        said("user", "Why is login slow?"),
        said("assistant", "No index. Shall I add one to the users table?"),
        said("user", "yes"),
    ]
    assert read_facts(chat(talk)).proposal == "shall i add one to the users table"


@pytest.mark.parametrize(
    "words",
    [
        "perfect thanks",
        "thank you!",
        "danke",
        "merci beaucoup",
        "gracias",
        "спасибо",
        "ありがとうございます",
        "谢谢",
        "감사합니다",
        "great job",
        "nice",
    ],
)
def test_thanks_close_a_finished_task(words):
    assert read_facts(
        chat([said("user", TASK), said("assistant", "Done."), said("user", words)])
    ).closing


def test_thanks_with_more_to_do_do_not_close():
    assert not is_closing("thanks, now commit it", asked=False)
    assert not is_closing("thanks, why did it fail?", asked=False)
    assert not is_closing("thanks " * 40, asked=False)


def test_praise_answers_a_question_but_closes_a_finished_task():
    assert not is_closing("perfect", asked=True)
    assert is_closing("perfect", asked=False)


def test_agreement_is_short_and_no_question():
    assert is_agreement("")
    assert not is_agreement("ok?")
    assert not is_agreement("yes " * 40)
    assert not is_agreement("it that this")


@pytest.mark.parametrize(
    "harness", ["I committed the changes with git hash abc", "<info-msg>\n10:00\n</info-msg>"]
)
def test_messages_of_the_harness_are_nobodys_words(harness):
    facts = read_facts(chat([said("user", TASK), said("assistant", "Ok."), said("user", harness)]))
    assert facts.words == TASK


def test_a_picture_alone_is_a_turn_of_the_person():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    facts = read_facts(
        chat([said("user", TASK), said("assistant", "Ok."), {"role": "user", "content": [picture]}])
    )
    assert facts.images == 1
    assert facts.turn == "user"
    assert facts.words == TASK


def test_nothing_at_all_is_read_as_nothing():
    assert read_facts(Prompt("chat", "m", ())) == Facts(turn="user")
    assert read_facts(chat([said("system", "Be nice.")], raw=False)).words == ""


# -- turns -------------------------------------------------------------------------------------------------------------

LOOP = [said("user", TASK), call(1), result(1, "ok")]


@pytest.mark.parametrize(
    "after",
    [
        [],
        [said("user", "<system-reminder>\nTodo list is empty.\n</system-reminder>")],
        [said("system", "Stay brief.")],
        [call(2), result(2, "ok")],
        [said("developer", "x"), said("user", "<environment_context>\n</environment_context>")],
    ],
)
def test_a_result_at_the_end_is_a_tool_turn(after):
    facts = read_facts(chat(LOOP + after, tools=[function("bash")]))
    assert facts.turn == "tool"
    assert facts.words == TASK
    assert facts.tool_calls


def test_a_harness_message_before_the_pair_does_not_hide_the_tool_turn():
    talk = [
        said("user", TASK),
        said("user", "<info-msg>\n10:00\n</info-msg>"),
        call(1),
        result(1, "ok"),
    ]
    assert read_facts(chat(talk)).turn == "tool"


@pytest.mark.parametrize(
    "text",
    [
        "[read_file for 'a.py'] Result:\nx = 1",
        "[ERROR] You did not use a tool in your previous response!",
        "# 1 SEARCH/REPLACE block failed to match!",
        "# Fix any errors below, if possible.\na.py:1: E999",
    ],
)
def test_results_told_in_the_user_role_are_results(text):
    facts = read_facts(chat([said("user", TASK), said("assistant", "reading"), said("user", text)]))
    assert facts.turn == "tool"
    assert facts.words == TASK


def test_a_result_in_the_user_role_with_a_call_id_is_a_result():
    told = Message("user", (Part("text", "ok"),), tool_call_id="c1")
    made = Message("assistant", (), (ToolCall("c1", "bash", "{}"),))
    asked = Prompt("messages", "m", (*user(TASK).messages, made, told))
    assert read_facts(asked).turn == "tool"


def test_words_typed_after_a_result_are_a_user_turn():
    facts = read_facts(chat([*LOOP, said("user", "Stop and write the README first.")]))
    assert facts.turn == "user"
    assert facts.words == "Stop and write the README first."


def test_an_answer_after_the_results_ends_the_loop():
    facts = read_facts(chat([*LOOP, said("assistant", "Done."), said("user", "yes")]))
    assert facts.turn == "user"


def test_a_prefilled_answer_does_not_hide_the_result():
    assert read_facts(chat([*LOOP, said("assistant", "The file")])).turn == "tool"


TITLE = said("system", "You are a title generator.")


@pytest.mark.parametrize(("kind", "turn"), [("other", "tool"), ("text", "user")])
def test_an_answer_that_its_upstream_paused_goes_on_like_a_tool_turn(kind, turn):
    asked = Message("user", (Part("text", "find the newest release"),))
    paused = Message("assistant", (Part("text", "Searching."), Part(kind, raw={"type": "x"})))
    prompt = Prompt(dialect="messages", model="m", messages=(asked, paused))
    assert read_facts(prompt).turn == turn


def test_auxiliary_turns_come_without_tools():
    assert read_facts(chat([TITLE, said("user", TASK)])).turn == "aux"
    with_tools = read_facts(chat([TITLE, said("user", TASK)], tools=[function("bash")]))
    assert with_tools.turn == "user"
    assert with_tools.aux is not None


def test_compaction_is_auxiliary_even_with_tools():
    ask = said(
        "user", "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary."
    )
    assert read_facts(chat([*LOOP, ask], tools=[function("bash")])).turn == "aux"


@given(st.integers(0, 32), st.booleans())
def test_a_persons_turn_stays_one_whatever_the_system_prompt_and_tools(tools, long):
    system = "You are an agent. Generate titles and commit messages. " * (600 if long else 60)
    offered = [function(f"t{i}") for i in range(tools)]
    facts = read_facts(chat([said("system", system), said("user", TASK)], tools=offered))
    assert facts.turn == "user"


# -- whole requests as clients send them -------------------------------------------------------------------------------

AIDER = [
    said("system", "Act as an expert software developer.\nAlways use best practices when coding."),
    said("user", "Change get_factorial() to use math.factorial"),
    said("assistant", "To make this change we need to modify `mathweb/flask/app.py`."),
    said(
        "user",
        "I switched to a new code base. Please don't consider the above files or try to edit them any longer.",
    ),
    said("assistant", "Ok."),
    said(
        "user",
        "I have *added these files to the chat* so you can go ahead and edit them.\n\npay.py\n```\ncharge()\n```",
    ),
    said("assistant", "Ok, any changes I propose will be to those files."),
    said(
        "user",
        f"{TASK}\n\n# *SEARCH/REPLACE block* Rules:\n\nEvery *SEARCH/REPLACE block* must use this format:",
    ),
]
CODEX = [
    said("developer", "You are Codex, a coding agent. " * 200),
    said(
        "user",
        "# AGENTS.md instructions for /srv/app\n\n<INSTRUCTIONS>\nRun the tests.\n</INSTRUCTIONS>",
    ),
    said("user", "<environment_context>\n  <cwd>/srv/app</cwd>\n</environment_context>"),
    said("user", TASK),
]
CLAUDE = [
    said("system", "You are an interactive agent. " * 300),
    {
        "role": "user",
        "content": [
            {
                "type": "text",
                "text": "<system-reminder>\nAs you answer, use this context: delete nothing.\n</system-reminder>\n",
            },
            {"type": "text", "text": TASK},
        ],
    },
    said("system", "The following skills are available."),
]
GOOSE = [
    said("system", "You are a general-purpose AI agent called goose. " * 100),
    said("user", "<info-msg>\nIt is currently 2026-11-20 10:00\n</info-msg>\n"),
    said("user", TASK),
]
CLINE = [
    said("system", "You are Cline, a highly skilled software engineer. " * 100),
    said(
        "user",
        f"<task>\n{TASK}\n</task>\n\n<environment_details>\n# Current Time\n10:00\n</environment_details>",
    ),
]


@pytest.mark.parametrize(
    "talk", [AIDER, CODEX, CLAUDE, GOOSE, CLINE], ids=["aider", "codex", "claude", "goose", "cline"]
)
def test_the_task_is_found_in_what_clients_send(talk):
    first = read_facts(chat(talk, tools=[function("bash")]))
    assert (first.turn, first.words) == ("user", TASK)
    later = read_facts(chat([*talk, call(1), result(1, "ok")], tools=[function("bash")]))
    assert (later.turn, later.words) == ("tool", TASK)


# -- a task that was rejected ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "rejected"),
    [
        (["still broken"], 1),
        (["still broken", "no, same error"], 2),
        (["It still fails:\nTypeError: x is not a function"], 1),
        (["still broken", "yes"], 1),
        (["still broken", "Das geht immer noch nicht."], 2),
        (["undo that"], 0),
        (["still broken", "Now rename the button"], 0),
        ([f"It still fails. {'I looked at the logs of both workers. ' * 8}"], 0),
    ],
)
def test_a_task_that_still_fails_stands_and_is_told_how_often(heard, rejected):
    talk = [said("user", TASK)]
    for words in heard:
        talk += [said("assistant", "Try again now."), said("user", words)]
    facts = read_facts(chat(talk))
    assert facts.rejected == rejected
    assert (facts.words == TASK) == (rejected > 0)
    assert bool(facts.struggle) == (rejected >= REJECTED)
    later = read_facts(chat([*talk, call(1), result(1, "ok")], tools=[function("bash")]))
    assert (later.rejected, later.words) == (rejected, facts.words)


def test_without_a_task_before_a_complaint_is_the_task():
    facts = read_facts(chat([said("user", "it doesn't work")]))
    assert (facts.words, facts.rejected, facts.struggle) == ("it doesn't work", 0, "")


def test_results_of_an_earlier_task_do_not_count():
    talk = [said("user", "a first task")]
    for i in range(3):
        talk += [call(i), result(i, "Error: no match")]
    talk += [said("assistant", "I give up."), said("user", TASK)]
    facts = read_facts(chat(talk))
    assert facts.outcomes == ()
    assert facts.struggle == ""


# -- tool calls --------------------------------------------------------------------------------------------------------


def test_calls_since_the_task_are_kept_in_order_and_those_before_it_are_not():
    talk = [said("user", "a first task"), call(0, "old"), result(0, "ok"), said("user", TASK)]
    talk += [call(1, "one"), result(1, "ok"), call(2, "two"), result(2, "ok")]
    assert read_facts(chat(talk)).calls == (("one", "{}"), ("two", "{}"))
    assert read_facts(chat(talk[:4])).calls == ()


def test_calls_are_bounded_and_the_newest_stay():
    talk = [said("user", TASK)]
    for i in range(40):
        made = {"name": f"t{i}", "arguments": "x" * 5_000}
        talk += [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"c{i}", "function": made}],
            },
            result(i, "ok"),
        ]
    calls = read_facts(chat(talk)).calls
    assert calls[-1][0] == "t39"
    assert all(len(arguments) == CALL_CHARS for _, arguments in calls)
    assert CALLS_CHARS <= sum(len(a) for _, a in calls) <= CALLS_CHARS + CALL_CHARS


# -- anything ----------------------------------------------------------------------------------------------------------

TEXTS = st.text(alphabet=st.characters(), max_size=80) | st.sampled_from(
    [
        "",
        "yes",
        "```",
        "<env>",
        "</env>",
        "\ud800",
        "Error: x",
        "quota",
        "<task>",
        "I switched to a new code base",
    ]
)
MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
        st.lists(
            st.builds(
                Part, st.sampled_from(["text", "image", "file", "other"]), TEXTS, st.integers(0, 99)
            ),
            max_size=3,
        ).map(tuple),
        st.lists(st.builds(ToolCall, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple),
        st.none() | TEXTS,
    ),
    max_size=8,
).map(tuple)


@given(MESSAGES, st.binary(max_size=50))
def test_any_prompt_can_be_read_and_reading_is_pure(messages, raw):
    asked = Prompt("chat", "m", messages, raw=raw)
    facts = read_facts(asked)
    assert facts == read_facts(asked)
