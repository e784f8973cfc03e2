"""FakeUpstream: deterministic, says that it is a dry run, plays scripts, and lets tests see what was given up."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import ToolCall, Usage
from openfusion_auto.core.recipes.prompts import JUDGE, VERIFY, read_pick, read_verdict
from openfusion_auto.errors import (
    InternalError,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from openfusion_auto.upstream.base import Call, Opened, Upstream
from openfusion_auto.upstream.fake import FakeUpstream
from openfusion_auto.upstream.reply import Reply


def a_call(*messages, stream=False, model="vendor/model", **body):
    if messages and isinstance(messages[0], str):
        messages = [{"role": "user", "content": messages[0]}]
    whole = {"model": model, "messages": list(messages), "stream": stream, **body}
    return Call(model=model, body=json.dumps(whole).encode(), stream=stream)


async def read(opened):
    return b"".join([c async for c in opened.chunks()])


async def ask(call, script=None, **how):
    return await read(await FakeUpstream(script, **how).open(call))


async def message(call, script=None):
    return json.loads(await ask(call, script))["choices"][0]["message"]


def events(raw):
    frames = raw.decode().split("\n\n")
    assert frames[-1] == ""
    assert frames[-2] == "data: [DONE]"
    return [json.loads(f.removeprefix("data: ")) for f in frames[:-2]]


def deltas(raw):
    return [e["choices"][0]["delta"] for e in events(raw) if e["choices"]]


def a_tool(name, parameters=None):
    function = {"name": name} if parameters is None else {"name": name, "parameters": parameters}
    return {"type": "function", "function": function}


READ = a_tool("read", {"type": "object", "properties": {"path": {"type": "string"}}})
READ_FILE = a_tool(
    "read_file",
    {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "how": {"enum": ["text", "bytes"]},
            "note": {"type": "string"},
        },
        "required": ["path", "how"],
    },
)


def test_it_is_an_upstream():
    upstream: Upstream = FakeUpstream(name="dry")
    assert (upstream.name, upstream.dialect) == ("dry", "chat")


class TestDryRun:
    async def test_text_says_that_no_model_was_called_and_names_the_model(self):
        said = (await message(a_call("fix the parser")))["content"]
        assert said.startswith("DRY RUN by openfusion_auto: no model was called")
        assert "'vendor/model'" in said
        assert "'fix the parser'" in said

    async def test_at_most_the_first_words_of_the_task_are_repeated(self):
        words = [f"w{i}" for i in range(50)]
        said = (await message(a_call(" ".join(words))))["content"]
        assert "w7" in said
        assert "w8" not in said
        assert len((await message(a_call("x" * 9999)))["content"]) < 400

    async def test_parts_are_read_and_odd_requests_still_get_an_answer(self):
        parts = {"role": "user", "content": [{"type": "text", "text": "hello part"}, 5]}
        assert "hello part" in (await message(a_call(parts)))["content"]
        for odd in (a_call(), a_call(7), a_call({"role": "user"}), a_call("x", model="\ud800")):
            assert "DRY RUN" in (await message(odd))["content"]

    @given(st.binary(max_size=40), st.booleans())
    async def test_same_request_same_bytes_and_other_request_other_id(self, seed, stream):
        call = a_call(seed.hex(), stream=stream)
        first, again = await ask(call), await ask(call)
        assert first == again
        assert first != await ask(a_call(seed.hex() + "!", stream=stream))

    @pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 100_000])
    async def test_a_body_that_is_no_object_is_rejected(self, body):
        upstream = FakeUpstream()
        with pytest.raises(UpstreamRejected) as error:
            await upstream.open(Call("m", body, stream=False))
        assert error.value.status == 400
        assert (upstream.open_now, upstream.cancelled) == (0, 0)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_tool_named_by_the_user_is_called_with_valid_arguments(self, stream):
        call = a_call("please use read_file now", stream=stream, tools=[READ, READ_FILE])
        raw = await ask(call)
        if stream:
            parts = [c for d in deltas(raw) for c in d.get("tool_calls", [])]
            name, arguments = parts[0]["function"]["name"], ""
            arguments = "".join(p["function"]["arguments"] for p in parts)
            assert events(raw)[-1]["choices"][0]["finish_reason"] == "tool_calls"
        else:
            choice = json.loads(raw)["choices"][0]
            called = choice["message"]["tool_calls"][0]["function"]
            name, arguments = called["name"], called["arguments"]
            assert choice["message"]["content"] is None
            assert choice["finish_reason"] == "tool_calls"
        assert name == "read_file"
        assert json.loads(arguments) == {"path": "dry-run", "how": "text"}

    @pytest.mark.parametrize(
        ("text", "more"),
        [
            ("it is already spread", {}),
            ("a read-only file", {}),
            ("please read", {"tool_choice": "none"}),
            ("please read", {"tools": None}),
            ("x", {"tool_choice": {"type": "function", "function": {"name": "other"}}}),
        ],
    )
    async def test_a_tool_that_is_not_named_or_not_allowed_is_not_called(self, text, more):
        said = await message(a_call(text, **{"tools": [READ], **more}))
        assert "tool_calls" not in said

    @pytest.mark.parametrize(
        "choice", ["required", {"type": "function", "function": {"name": "read"}}]
    )
    async def test_a_demanded_tool_is_called(self, choice):
        said = await message(a_call("hello", tools=[READ], tool_choice=choice))
        assert [c["function"]["name"] for c in said["tool_calls"]] == ["read"]

    async def test_a_tool_without_parameters_gets_an_empty_object(self):
        said = await message(a_call("use ping", tools=[a_tool("ping"), "junk", {}]))
        assert said["tool_calls"][0]["function"] == {"name": "ping", "arguments": "{}"}

    async def test_after_a_tool_result_text_says_that_it_arrived(self):
        history = [
            {"role": "user", "content": "use read"},
            {"role": "tool", "tool_call_id": "1", "content": "read: äöü"},
        ]
        said = await message(a_call(*history, tools=[READ]))
        assert "tool_calls" not in said
        assert "The result of the tool call arrived (12 bytes)" in said["content"]

    async def test_json_schema_gets_a_valid_instance_that_accepts(self):
        schema = {
            "type": "object",
            "properties": {
                "verdict": {"enum": ["reject", "accept"]},
                "best": {"type": "integer", "minimum": 0},
                "findings": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["verdict", "best", "findings"],
        }
        wanted = {"type": "json_schema", "json_schema": {"name": "v", "schema": schema}}
        said = json.loads((await message(a_call("judge", response_format=wanted)))["content"])
        assert said == {"verdict": "accept", "best": 1, "findings": []}

    async def test_json_object_without_a_template_gets_an_object(self):
        said = await message(a_call("x", response_format={"type": "json_object"}))
        assert json.loads(said["content"]) == {"dry_run": True}

    @pytest.mark.parametrize(
        ("template", "reply"),
        [
            (
                ': {"verdict": "accept"|"reject", "findings": [{"where": "a", "verdict": "x"}]}',
                {"verdict": "accept", "findings": []},
            ),
            ('. {"verdict":"reject"|"accept","ok":true}', {"verdict": "accept", "ok": True}),
            (
                ' {"best": <number>, "why": "one sentence", "bad": "x or null", "more": {"a": 1}} or {"x": 1}',
                {"best": 1, "why": "one sentence", "bad": None, "more": {}},
            ),
        ],
    )
    @pytest.mark.parametrize("role", ["system", "user"])
    async def test_a_verdict_prompt_gets_its_keys_and_accepts(self, template, reply, role):
        asked = {"role": role, "content": f"You judge.\nAnswer with one JSON object{template}"}
        call = a_call({"role": "user", "content": "the answers"}, asked)
        if role == "system":
            call = a_call(asked, {"role": "user", "content": "the answers"})
        assert json.loads((await message(call))["content"]) == reply

    async def test_our_own_recipes_can_read_the_verdict_and_the_pick(self):
        draft = {"role": "assistant", "content": "a draft"}
        verify = a_call(
            {"role": "user", "content": "task"}, draft, {"role": "user", "content": VERIFY}
        )
        verdict = read_verdict((await message(verify))["content"])
        assert (verdict.accepted, verdict.findings) == (True, ())
        judge = a_call(JUDGE.format(answers='[{"number": 1, "text": "{\\"best\\": 7}"}]'))
        pick = read_pick((await message(judge))["content"], 3)
        assert (pick.best, pick.defect) == (0, None)

    async def test_an_older_turn_that_asked_for_json_is_over(self):
        asked = {"role": "user", "content": VERIFY}
        said = await message(a_call(asked, {"role": "user", "content": "and now the weather"}))
        assert said["content"].startswith("DRY RUN")

    async def test_a_template_may_stand_before_the_words(self):
        text = '{"verdict": "accept"|"reject"}\nAnswer with one JSON object like this.'
        assert json.loads((await message(a_call(text)))["content"]) == {"verdict": "accept"}


class TestScript:
    async def test_replies_come_in_order_and_the_end_of_the_script_is_loud(self):
        upstream = FakeUpstream([Reply("one"), Reply("two")])
        for word in ("one", "two"):
            raw = await read(await upstream.open(a_call("q")))
            assert json.loads(raw)["choices"][0]["message"]["content"] == word
        with pytest.raises(InternalError, match="call 3 has no reply"):
            await upstream.open(a_call("q"))
        assert len(upstream.calls) == 3
        assert upstream.open_now == 0

    async def test_a_function_sees_the_body(self):
        said = await message(a_call("q", top_p=0.5), lambda body: Reply(f"top_p {body['top_p']}"))
        assert said["content"] == "top_p 0.5"

    async def test_calls_are_recorded_as_they_were_sent(self):
        upstream, call = FakeUpstream([Reply()]), a_call("q")
        await upstream.open(call)
        assert upstream.calls == [call]

    async def test_a_whole_answer_holds_all_fields(self):
        reply = Reply(
            "ä",
            reasoning="hm",
            tool_calls=[ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", "raw", "custom")],
            finish="length",
            usage=Usage(10, 5, 4, 3, 2),
        )
        body = json.loads(await ask(a_call("q"), [reply]))
        assert body["object"] == "chat.completion"
        assert body["model"] == "vendor/model"
        assert body["choices"] == [
            {
                "index": 0,
                "finish_reason": "length",
                "message": {
                    "role": "assistant",
                    "content": "ä",
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a": 1}'},
                        },
                        {"id": "2", "type": "custom", "custom": {"name": "g", "input": "raw"}},
                    ],
                },
            }
        ]
        assert body["usage"] == {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }

    async def test_usage_is_estimated_from_bytes_and_characters(self):
        call = a_call("q")
        usage = json.loads(await ask(call, [Reply("abcde")]))["usage"]
        assert usage["prompt_tokens"] == -(-len(call.body) // 4)
        assert usage["completion_tokens"] == 2
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0

    @pytest.mark.parametrize(("n", "given_"), [(3, 3), (0, 1), ("x", 1), (10**9, 128)])
    @pytest.mark.parametrize("stream", [False, True])
    async def test_n_choices_are_given_within_the_bound(self, n, given_, stream):
        raw = await ask(a_call("q", stream=stream, n=n), [Reply("hi")])
        if stream:
            assert {c["index"] for e in events(raw) for c in e["choices"]} == set(range(given_))
        else:
            assert [c["index"] for c in json.loads(raw)["choices"]] == list(range(given_))

    @given(st.text(), st.text(max_size=60), st.text(max_size=60), st.integers(1, 40))
    async def test_chunks_join_to_what_was_scripted(self, text, reasoning, arguments, size):
        calls = [ToolCall("a", "f", arguments), ToolCall("b", "g", arguments, "custom")]
        reply = Reply(text, reasoning=reasoning, tool_calls=calls, chunk_size=size)
        seen = deltas(await ask(a_call("q", stream=True), [reply]))
        assert seen[0] == {"role": "assistant", "content": ""}
        assert "".join(d.get("content") or "" for d in seen) == text
        assert "".join(d.get("reasoning_content") or "" for d in seen) == reasoning
        parts = [c for d in seen for c in d.get("tool_calls", [])]
        assert [p["id"] for p in parts if "id" in p] == ["a", "b"]
        for index, (kind, key) in enumerate((("function", "arguments"), ("custom", "input"))):
            mine = [p for p in parts if p["index"] == index]
            assert mine[0][kind][key] == ""
            assert "".join(p[kind][key] for p in mine) == arguments
            assert all(len(p[kind][key]) <= size for p in mine)

    @pytest.mark.parametrize("asked", [True, False])
    async def test_usage_chunk_only_when_asked_for_and_last(self, asked):
        seen = events(await ask(a_call("q", stream=True, stream_options={"include_usage": asked})))
        assert [bool(e["choices"]) for e in seen[-2:]] == [True, not asked]
        assert ("usage" in seen[-1]) is asked
        assert len({(e["id"], e["created"], e["model"]) for e in seen}) == 1

    @pytest.mark.parametrize(("size", "pieces"), [(None, 1), (2, 3)])
    async def test_raw_bytes_are_sent_as_they_are(self, size, pieces):
        reply = Reply(raw=b"\xff{}ab", chunk_size=size, headers={"content-type": "Text/HTML; x=y"})
        opened: Opened = await FakeUpstream([reply]).open(a_call("q"))
        got = [c async for c in opened.chunks()]
        assert b"".join(got) == b"\xff{}ab"
        assert len(got) == pieces
        assert opened.content_type == "text/html"

    async def test_an_empty_raw_body_is_an_empty_body(self):
        assert await ask(a_call("q"), [Reply(raw=b"")]) == b""

    @pytest.mark.parametrize("stream", [False, True])
    async def test_content_type_follows_the_request(self, stream):
        opened = await FakeUpstream().open(a_call("q", stream=stream))
        assert opened.content_type == ("text/event-stream" if stream else "application/json")

    def test_a_chunk_without_length_is_refused(self):
        with pytest.raises(ValueError, match="chunk_size"):
            Reply(chunk_size=0)


class TestFailures:
    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (Reply(status=429, headers={"retry-after": "7"}), UpstreamRateLimited),
            (Reply("no", status=401), UpstreamDenied),
            (Reply(status=302, raw=b"moved"), UpstreamBroken),
        ],
    )
    async def test_a_status_raises_what_a_real_answer_would(self, reply, error):
        upstream = FakeUpstream([reply])
        with pytest.raises(error) as raised:
            await upstream.open(a_call("q"))
        if reply.status == 429:
            assert raised.value.retry_after_s == 7.0
        assert (upstream.open_now, upstream.cancelled) == (0, 0)

    @pytest.mark.parametrize(("stream", "cut"), [(True, 0), (True, 3), (True, 99), (False, 1)])
    async def test_a_cut_breaks_after_that_many_chunks(self, stream, cut):
        whole = Reply("x" * 60)
        call = a_call("q", stream=stream)
        all_chunks = [c async for c in (await FakeUpstream([whole]).open(call)).chunks()]
        upstream = FakeUpstream([Reply("x" * 60, cut_after=cut)])
        opened, got = await upstream.open(call), []
        with pytest.raises(UpstreamBroken, match="broke inside"):
            async for chunk in opened.chunks():
                got.append(chunk)  # noqa: PERF401 - what came before the failure is wanted
        assert got == all_chunks[:cut]
        await opened.close()
        assert (upstream.open_now, upstream.cancelled) == (0, 0)


class TestWaiting:
    async def test_delays_go_through_the_given_sleep(self):
        slept = []

        async def sleep(seconds):
            slept.append(seconds)

        reply = Reply("x" * 30, delay_s=2.0, chunk_delay_s=0.5)
        raw = await ask(a_call("q", stream=True), [reply], sleep=sleep)
        assert slept == [2.0] + [0.5] * (raw.count(b"\n\n") - 1)

    @pytest.mark.parametrize("reply", [Reply(delay_s=1), Reply(chunk_delay_s=1)])
    async def test_without_a_sleep_no_reply_may_wait(self, reply):
        with pytest.raises(ValueError, match="needs `sleep`"):
            FakeUpstream([reply])
        with pytest.raises(ValueError, match="needs `sleep`"):
            await ask(a_call("q"), lambda _: reply)
        with pytest.raises(ValueError, match="needs `sleep`"):
            FakeUpstream(silence_s=1)

    async def test_silence_before_the_head_ends_when_the_upstream_closes(self):
        upstream = FakeUpstream([Reply(hang=True)])
        task = asyncio.create_task(upstream.open(a_call("q")))
        await asyncio.sleep(0)
        assert upstream.open_now == 1
        await upstream.close()
        with pytest.raises(UpstreamUnreachable):
            await task
        assert (upstream.open_now, upstream.cancelled) == (0, 0)

    async def test_silence_times_out_when_a_bound_is_given(self):
        slept = []

        async def sleep(seconds):
            slept.append(seconds)

        with pytest.raises(UpstreamTimeout, match="3 s"):
            await ask(a_call("q"), [Reply(hang=True)], sleep=sleep, silence_s=3)
        assert slept == [3]

    async def test_silence_inside_an_answer_ends_when_it_is_closed(self):
        upstream = FakeUpstream([Reply("x", hang=True, cut_after=2)])
        opened, got = await upstream.open(a_call("q", stream=True)), []

        async def reading():
            async for chunk in opened.chunks():
                got.append(chunk)  # noqa: PERF401 - what came before the failure is wanted

        task = asyncio.create_task(reading())
        while len(got) < 2:
            await asyncio.sleep(0)
        await opened.close()
        with pytest.raises(UpstreamUnreachable):
            await task
        assert (upstream.open_now, upstream.cancelled) == (0, 1)


class TestGivingUp:
    async def test_a_cancelled_open_is_counted(self):
        upstream = FakeUpstream([Reply(hang=True)])
        task = asyncio.create_task(upstream.open(a_call("q")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (upstream.open_now, upstream.cancelled) == (0, 1)

    @pytest.mark.parametrize(("chunks", "cancelled"), [(0, 1), (2, 1), (None, 0)])
    async def test_closing_early_is_counted_once_and_at_the_end_not_at_all(self, chunks, cancelled):
        upstream = FakeUpstream([Reply("x" * 99)])
        opened = await upstream.open(a_call("q", stream=True))
        assert upstream.open_now == 1
        body = opened.chunks()
        if chunks is None:
            assert (await read(opened)).endswith(b"[DONE]\n\n")
        else:
            for _ in range(chunks):
                await anext(body)
        await opened.close()
        await opened.close()
        assert (upstream.open_now, upstream.cancelled) == (0, cancelled)
        if chunks:
            with pytest.raises(UpstreamBroken, match="was closed"):
                await anext(body)

    async def test_a_leak_stays_visible(self):
        upstream = FakeUpstream()
        await upstream.open(a_call("q"))
        assert upstream.open_now == 1
