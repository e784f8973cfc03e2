from __future__ import annotations

import json

from openfusion_auto.wire import messages

from .claude import call, end, raw, sse, start, text, validated


def test_a_whole_turn_goes_through_the_one_front():
    prompt = messages.parse_request(raw(stream=True, openfusion={}), {"x": "y"})
    up = messages.splice_request(prompt, "claude-x")
    assert json.loads(up)["model"] == "claude-x"
    reader, writer = messages.Reader(), messages.Writer(guarded=True)
    events = sse(start(), text(0, "hi"), call(1, "{}"), end("tool_use"))
    out = b"".join(writer.write(d) for d in reader.feed(events) + reader.close())
    assert validated(out + writer.finish({"trace_id": "t"}, None))[-2]["openfusion"]
    assert reader.answer().tool_calls[0].name == "edit"


def test_the_front_names_all_that_it_offers():
    assert sorted(messages.__all__) == list(messages.__all__)
    assert all(hasattr(messages, name) for name in messages.__all__)
