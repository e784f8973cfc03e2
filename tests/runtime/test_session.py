"""Which session a request belongs to: the order of hints, who may share one, and what a key gives away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from openfusion_auto.core.prompt import Message, Options, Part
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.session import BODY_FIELDS, HEAD_CHARS, HEADERS, MAX_KEY, session_of
from openfusion_auto.upstream.reply import Reply
from tests.support.prompts import chat, function, user
from tests.support.rig import Rig

PLAIN = user("fix the login")


def key(prompt=PLAIN, headers=None, identity="alice"):
    return session_of(prompt, headers or {}, identity).key


# -- order ------------------------------------------------------------------------------------------------------------


def test_an_option_goes_before_a_header_before_a_body_field_before_a_weak_header():
    everything = replace(
        PLAIN,
        options=Options(session="opt"),
        session_fields=dict.fromkeys(BODY_FIELDS, "body"),
    )
    headers = {**dict.fromkeys(HEADERS, "head"), "agent-session-id": "weak"}
    assert session_of(everything, headers, "x") == ("option:opt", "option", "option:opt")
    everything = replace(everything, options=Options())
    assert session_of(everything, headers, "x") == ("id:head", f"header {HEADERS[0]}", "id:head")
    weak = {"agent-session-id": "weak"}
    assert session_of(everything, weak, "x") == ("id:body", f"body {BODY_FIELDS[0]}", "id:body")
    assert session_of(PLAIN, weak, "x").source == "header agent-session-id"
    assert session_of(PLAIN, {}, "x").source == "implicit"


@pytest.mark.parametrize("names", [HEADERS, BODY_FIELDS])
def test_among_its_kind_the_first_of_the_list_counts(names):
    for i, name in enumerate(names):
        rest = {n: n for n in names[i:]}
        if names is HEADERS:
            got = session_of(PLAIN, dict(reversed(rest.items())), "x")
        else:
            got = session_of(replace(PLAIN, session_fields=rest), {}, "x")
        assert got.whole == f"id:{name}"
        assert got.source.endswith(f" {name}")


@pytest.mark.parametrize(
    ("prompt", "headers"),
    [
        (replace(PLAIN, options=Options(session="s1")), {}),
        (PLAIN, {"session-id": "s1"}),
        (replace(PLAIN, session_fields={"prompt_cache_key": "s1"}), {}),
    ],
)
def test_two_gateway_keys_never_share_a_session_whatever_they_call_it(prompt, headers):
    keys = [session_of(prompt, headers, "x", client).key for client in (None, "key:a", "key:b")]
    assert len(set(keys)) == 3
    assert session_of(prompt, headers, "elsewhere", "key:a").key == keys[1]


@pytest.mark.parametrize("make", [dict, CIMultiDict])
@pytest.mark.parametrize(
    "name", ["X-Claude-Code-Session-Id", "x-claude-code-session-id", "SESSION_ID", "Session-Id"]
)
def test_header_names_are_looked_up_in_any_case(make, name):
    assert session_of(PLAIN, make({name: "s1"}), "x").key == "id:s1"


def test_an_empty_hint_is_none():
    empty = replace(
        PLAIN, session_fields=dict.fromkeys(BODY_FIELDS, ""), options=Options(session="")
    )
    assert (
        session_of(empty, dict.fromkeys((*HEADERS, "agent-session-id"), ""), "x").source
        == "implicit"
    )


# -- who shares a session ---------------------------------------------------------------------------------------------


def test_a_strong_id_is_the_same_for_everybody_and_a_weak_one_is_not():
    strong, weak = {"x-session-id": "7"}, {"agent-session-id": "7"}
    assert key(headers=strong, identity="alice") == key(headers=strong, identity="bob")
    assert key(headers=weak, identity="alice") != key(headers=weak, identity="bob")
    assert key(headers=weak) != key(headers={"agent-session-id": "8"})


def test_two_users_with_the_same_first_words_never_share_a_session():
    assert key(identity="alice") != key(identity="bob")


def test_identity_and_words_do_not_run_into_each_other():
    assert key(user("bc"), identity="a") != key(user("c"), identity="ab")


@given(
    st.lists(st.sampled_from(["user", "assistant", "tool"]), max_size=8),
    st.text(min_size=1).filter(str.strip),
)
def test_a_growing_conversation_stays_one_session(roles, first):
    start = chat(
        [{"role": "system", "content": "be kind"}, {"role": "user", "content": first}],
        tools=[function("run")],
    )
    keys = {key(start)}
    grown = start
    for i, role in enumerate(roles):
        grown = replace(
            grown, messages=(*grown.messages, Message(role, (Part("text", f"more {i}"),)))
        )
        keys.add(key(grown))
    assert len(keys) == 1


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_other_first_words_are_another_session(one, two):
    assume(one.strip() and two.strip() and one != two)
    assert key(user(one)) != key(user(two))


def test_other_tools_are_another_session_and_their_order_is_not():
    def having(*names):
        return key(chat([{"role": "user", "content": "x"}], tools=[function(n) for n in names]))

    assert having("a", "b") == having("b", "a")
    assert having("a") != having("a", "b")


def test_what_follows_the_head_of_the_first_message_does_not_count():
    head = "x" * HEAD_CHARS
    assert key(user(head + "one")) == key(user(head + "two"))


def test_the_first_words_are_those_of_the_first_message_that_has_any():
    blank = chat([{"role": "user", "content": "  "}, {"role": "user", "content": "fix the login"}])
    assert key(blank) == key(PLAIN)


# -- several agents in one session ------------------------------------------------------------------------------------

# As Codex 0.169 and Claude Code 2.1.330 send them: the session's own conversation, then two sub-agents beside it.
AGENTS = {
    "codex": [{"session-id": "s", "thread-id": thread} for thread in ("s", "t1", "t2")],
    "claude-code": [
        {"x-claude-code-session-id": "s"},
        *({"x-claude-code-session-id": "s", "x-claude-code-agent-id": a} for a in ("a1", "a2")),
    ],
}


@pytest.mark.parametrize("client", AGENTS)
def test_each_agent_of_a_session_has_its_own_conversation_within_it(client):
    found = [session_of(PLAIN, headers, "x") for headers in AGENTS[client]]
    assert found[0].key == found[0].whole == "id:s"
    assert len({f.key for f in found}) == 3
    assert {f.whole for f in found} == {"id:s"}


def test_a_thread_without_a_session_is_one():
    assert session_of(PLAIN, {"thread-id": "t"}, "x") == ("id:t", "header thread-id", "id:t")


@pytest.mark.parametrize("client", AGENTS)
async def test_a_sub_agent_moves_neither_the_model_nor_escapes_the_trace_of_its_session(client):
    tool = [{"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}}]
    rig, (own, sub, _) = Rig(lambda _: Reply(text="done")), AGENTS[client]

    async def ask(headers, model):
        prompt = rig.incoming("explain the ledger", model=model, tools=tool).prompt
        incoming = Incoming(prompt, headers, "me")
        trace = rig.engine.open(incoming)
        await rig.engine.answer(incoming, trace, None)
        return trace

    first = await ask(own, "openfusion/auto")
    beside = await ask(sub, "openfusion/auto")
    again = await ask(own, "openfusion/auto")
    assert (first.pinned, beside.pinned, again.pinned) == (False, False, True)
    assert first.session == beside.session == again.session


# -- what a key gives away --------------------------------------------------------------------------------------------


@given(st.text(min_size=9), st.text(min_size=9))
def test_no_raw_text_is_in_a_key(words, identity):
    for headers in ({}, {"agent-session-id": words}):
        got = key(user(words), headers, identity)
        assert got.startswith("implicit:")
        assert len(got) == len("implicit:") + 32
        assert words not in got
        assert identity not in got


def test_a_lone_surrogate_is_no_error():
    assert key(user("\ud800 x")) != key(user("x"))


def test_a_long_id_is_cut():
    assert len(key(headers={"x-session-id": "x" * 10_000})) == len("id:") + MAX_KEY
    assert (
        len(key(replace(PLAIN, options=Options(session="x" * 10_000)))) == len("option:") + MAX_KEY
    )


def test_an_option_and_a_header_of_one_text_are_two_sessions():
    assert key(replace(PLAIN, options=Options(session="7"))) != key(headers={"x-session-id": "7"})


async def test_a_commit_message_that_a_person_asks_an_agent_for_keeps_its_tool_loop_on_one_model():
    tool = [{"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}}]
    words = "Write a commit message for the staged changes"
    rig = Rig(lambda _: Reply(text="done"))
    _, trace = await rig.ask(words, tools=tool)
    assert (trace.decision.task.kind, trace.decision.task.turn) == ("aux", "user")
    assert rig.live.snapshot("id:s").pin.candidate == trace.answered_by
    _, trace = await rig.ask(words, session="alone")
    assert trace.decision.task.turn == "aux"
    assert rig.live.snapshot("id:alone").pin is None
