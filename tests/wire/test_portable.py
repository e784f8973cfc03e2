"""What stays behind when a history goes to another model, and how it is known again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, Delta
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire import portable
from openfusion_auto.wire.codec import CODECS
from tests.wire import claude
from tests.wire import responses_samples as items

DETAIL = {"type": "reasoning.text", "text": "hm", "signature": "sig-1"}
CRYPT = {"type": "reasoning.encrypted", "data": "enc-1"}
PLAIN = {"type": "reasoning.summary", "summary": "hm"}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "sig-1"}
REDACTED = {"type": "redacted_thinking", "data": "enc-1"}
UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}
OURS = {"type": "thinking", "thinking": "hm", "signature": "openfusion-unsigned"}
USER = {"role": "user", "content": "x"}


def everything(_seal):
    return True


def nothing(_seal):
    return False


def chat(*messages):
    return CODECS["chat"].parse_request(json.dumps({"model": "m", "messages": messages}).encode())


def responses(*listed):
    return CODECS["responses"].parse_request(items.raw(*listed))


def messages(*blocks, **more):
    said = {"role": "assistant", "content": [*blocks, {"type": "text", "text": "a"}]}
    listed = more.pop("messages", [USER, said, USER])
    return CODECS["messages"].parse_request(claude.raw(messages=listed, **more))


def seals(prompt):
    found = (portable.seals_of(p, prompt.dialect) for m in prompt.messages for p in m.parts)
    return [seal for listed in found for seal in listed]


def said(**more):
    return {"role": "assistant", "content": "a", **more}


class TestSeals:
    @pytest.mark.parametrize(
        ("prompt", "wanted"),
        [
            (chat(USER, said(reasoning_details=[DETAIL, CRYPT, PLAIN, 5])), ["sig-1", "enc-1"]),
            (chat(USER, said(reasoning_details=[PLAIN])), []),
            (chat(USER, said(reasoning_content="hm")), []),
            (chat(USER, said(content=[THINKING, REDACTED])), ["sig-1", "enc-1"]),
            (messages(THINKING, REDACTED), ["sig-1", "enc-1"]),
            (messages(UNSIGNED), ["words:hm"]),
            (messages({**UNSIGNED, "thinking": ""}), []),
            (messages({"type": "compaction", "content": "so far"}), ["so far"]),
            (messages({"type": "server_tool_use", "id": "s"}), []),
            (responses(USER, items.reasoning()), ["blob=="]),
            (responses(USER, items.reasoning(blob=None)), ["rs_1"]),
            (responses(USER, {"type": "reasoning", "summary": []}), []),
            (responses(USER, {"type": "compaction", "encrypted_content": "c"}), ["c"]),
            (responses(USER, {"type": "web_search_call", "id": "ws_1"}), []),
        ],
    )
    def test_of_a_history(self, prompt, wanted):
        assert seals(prompt) == wanted

    def test_only_what_stands_for_a_history_cannot_be_dropped(self):
        compaction = {"type": "compaction", "encrypted_content": "c"}
        assert list(portable.undroppable(responses(USER, items.reasoning(), compaction))) == ["c"]
        block = {"type": "compaction", "content": "so far"}
        assert list(portable.undroppable(messages(THINKING, block))) == ["so far"]
        assert list(portable.undroppable(chat(USER, said(reasoning_details=[DETAIL])))) == []

    @pytest.mark.parametrize(
        ("dialect", "data", "wanted"),
        [
            (
                "chat",
                {
                    "choices": [
                        {"message": {"reasoning_details": [DETAIL], "content": [REDACTED]}},
                        5,
                    ]
                },
                ["sig-1", "enc-1"],
            ),
            ("chat", {"choices": [{"message": {"content": "hi"}}]}, []),
            ("messages", {"content": [THINKING, UNSIGNED, 5]}, ["sig-1", "words:hm"]),
            ("responses", {"output": [items.reasoning(), items.message()]}, ["blob=="]),
            ("responses", {}, []),
        ],
    )
    def test_of_a_whole_answer(self, dialect, data, wanted):
        assert list(portable.seals_of_answer(Answer(data=data, dialect=dialect))) == wanted

    def test_of_an_answer_without_its_body(self):
        assert list(portable.seals_of_answer(Answer("hi"))) == []


def taken(dialect, *streams):
    reader, found = CODECS[dialect].Reader(), portable.Seals()
    return [seal for raw in streams for seal in found.take(reader.feed(raw))]


class TestSealsOfAStream:
    def test_messages(self):
        stream = claude.sse(
            claude.start(),
            claude.thinking(0, "h", "m", signature="sig-1"),
            claude.block(1, REDACTED),
            claude.text(2, "hi"),
            claude.end(),
        )
        assert taken("messages", stream) == ["sig-1", "enc-1"]

    def test_thinking_without_a_signature_is_known_by_its_words(self):
        pieces = [{"type": "thinking_delta", "thinking": t} for t in ("h", "m")]
        block = claude.block(0, {"type": "thinking", "thinking": ""}, *pieces)
        stream = claude.sse(claude.start(), block, claude.text(1, "hi"), claude.end())
        assert taken("messages", stream[:200], stream[200:]) == ["words:hm"]

    def test_a_compaction_block_is_known_by_what_it_says(self):
        told = {"type": "compaction_delta", "content": "so far"}
        block = claude.block(0, {"type": "compaction", "content": None}, told)
        stream = claude.sse(claude.start(), block, claude.text(1, "hi"), claude.end())
        assert taken("messages", stream) == ["so far"]

    def test_responses(self):
        stream = items.sse(
            items.created(),
            items.added(0, items.reasoning("", "early")),
            items.done(0, items.reasoning()),
            items.added(1, items.message()),
            items.text("hi", 1),
            items.done(1, items.message()),
        )
        assert taken("responses", stream) == ["blob=="]

    def test_chat(self):
        def chunk(**delta):
            data = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta}]}
            return b"data: " + json.dumps(data).encode() + b"\n\n"

        stream = chunk(content="hi", reasoning_details=[DETAIL]) + chunk(content="more")
        assert taken("chat", stream, chunk(reasoning_details=[CRYPT])) == ["sig-1", "enc-1"]

    def test_an_event_without_data(self):
        assert portable.Seals().take([Delta(b"data: [DONE]\n\n", done=True)]) == []


PROMPTS = {
    "chat": chat(USER, said(reasoning_details=[DETAIL]), USER),
    "responses": responses(USER, items.reasoning(blob="sig-1"), items.message("a"), USER),
    "messages": messages(THINKING),
}


class TestForAnother:
    @pytest.mark.parametrize("dialect", PROMPTS)
    def test_a_makers_own_history_is_not_touched(self, dialect):
        prompt = PROMPTS[dialect]
        changed, lost = portable.for_another(prompt, nothing)
        assert changed is prompt
        assert lost == ()

    @pytest.mark.parametrize("dialect", PROMPTS)
    def test_anothers_is_taken_out_and_told(self, dialect):
        changed, lost = portable.for_another(PROMPTS[dialect], everything)
        sent = CODECS[dialect].splice_request(changed, "v")
        sent = getattr(sent, "body", sent)
        assert b"sig-1" not in sent
        assert seals(changed) == []
        assert [m.text for m in changed.messages] == ["x", "a", "x"]
        wanted = "1 reasoning items" if dialect == "responses" else "reasoning of 1 message"
        assert lost == (wanted,)

    @given(st.lists(st.tuples(st.sampled_from(["own", "other"]), st.integers(0, 9)), max_size=8))
    def test_only_what_is_foreign_goes(self, found):
        blobs = [f"{whose}-{n}-{at}" for at, (whose, n) in enumerate(found)]
        own = [b for b in blobs if b.startswith("own")]

        def foreign(seal):
            return seal.startswith("other")

        turns = [[items.reasoning(blob=b), items.message("a"), USER] for b in blobs]
        prompt = responses(USER, *(i for turn in turns for i in turn))
        changed, lost = portable.for_another(prompt, foreign)
        assert seals(changed) == own
        assert bool(lost) == (own != blobs)
        details = [said(reasoning_details=[{**DETAIL, "signature": b}]) for b in blobs]
        changed, lost = portable.for_another(chat(USER, *details), foreign)
        kept = [
            m["reasoning_details"][0]["signature"]
            for m in changed.body["messages"]
            if "reasoning_details" in m
        ]
        assert kept == seals(changed) == own
        assert bool(lost) == (own != blobs)

    @pytest.mark.parametrize("blob", ["openfusion:", "openfusion:sig-1"])
    def test_what_was_made_here_is_told_as_lost(self, blob):
        prompt = responses(USER, items.reasoning(blob=blob), items.message("a"))
        changed, lost = portable.for_another(prompt, nothing)
        assert lost == ("1 reasoning items",)
        assert b"openfusion:" not in json.dumps(changed.body["input"]).encode()

    def test_unsigned_thinking_of_ours_is_nobodys(self):
        changed, lost = portable.for_another(messages(OURS), everything)
        assert lost == ("reasoning of 1 message",)
        assert "openfusion-unsigned" not in json.dumps(changed.body["messages"])

    def test_ids_that_point_to_reasoning_go_with_it(self):
        call = items.function()
        output = {"type": "function_call_output", "call_id": "call_1", "output": "x", "id": "o"}
        search = {"type": "web_search_call", "id": "ws_1"}
        prompt = responses(
            items.message("0"), items.reasoning(), items.message("a"), call, output, call, search
        )
        changed, _ = portable.for_another(prompt, everything)
        assert [i.get("id") for i in changed.body["input"]] == [
            "msg_1", None, None, "o", call["id"], "ws_1",
        ]  # fmt: skip

    def test_thinking_that_was_compacted_or_stopped_is_told(self):
        block = {"type": "compaction", "content": "so far"}
        loop = [
            USER,
            {"role": "assistant", "content": [block, THINKING, claude.CALL]},
            {"role": "user", "content": [claude.RESULT]},
        ]
        prompt = messages(messages=loop, thinking={"type": "enabled", "budget_tokens": 1024})
        changed, lost = portable.for_another(prompt, everything)
        assert lost == (
            "reasoning of 1 message",
            "compacted history of 1 message",
            "thinking inside a tool loop",
        )
        assert "thinking" not in changed.body

    def test_signed_parts_of_a_chat_message_go_and_readable_ones_stay(self):
        words = {"type": "text", "text": "a"}
        plain = {"type": "thinking", "thinking": "hm"}
        prompt = chat(USER, said(content=[THINKING, plain, words]), said(content=[REDACTED]))
        changed, lost = portable.for_another(prompt, everything)
        assert [m["content"] for m in changed.body["messages"]] == ["x", [plain, words], ""]
        assert lost == ("reasoning of 2 messages",)


BLOCK = {"role": "user", "content": [{"type": "brand_new"}]}


class TestBound:
    @pytest.mark.parametrize(
        ("prompt", "named"),
        [
            (responses(USER, {"type": "brand_new"}), "brand_new"),
            (messages(messages=[BLOCK]), "brand_new"),
        ],
    )
    def test_what_only_one_dialect_knows_is_refused_by_name_elsewhere(self, prompt, named):
        assert portable.is_bound(prompt)
        portable.check_foreign(prompt, prompt.dialect)
        for dialect in {"chat", "responses", "messages"} - {prompt.dialect}:
            with pytest.raises(BadRequest, match=named) as caught:
                portable.check_foreign(prompt, dialect)
            assert caught.value.code == "unsupported_value"

    @pytest.mark.parametrize("dialect", PROMPTS)
    def test_an_ordinary_history_goes_everywhere(self, dialect):
        assert not portable.is_bound(PROMPTS[dialect])
        for other in PROMPTS:
            portable.check_foreign(PROMPTS[dialect], other)

    def test_a_block_in_the_assistants_words_is_no_reason_to_refuse(self):
        assert not portable.is_bound(messages({"type": "brand_new"}))
        assert portable.kind_of(None) == "None"
