from __future__ import annotations

import pytest

from openfusion_auto.core.prompt import Delta
from openfusion_auto.errors import (
    BadRequest,
    Overloaded,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from openfusion_auto.wire.messages_writer import MessagesWriter

from .claude import deltas, end, parsed, sse, start, text, validated


def test_events_of_this_dialect_are_relayed():
    out = MessagesWriter(include_usage=False, guarded=True, model=None)
    events = (start(), text(0, "hi"), end())
    assert not out.started
    written = b"".join(map(out.write, deltas(*events)))
    assert out.started
    assert written + out.finish(None, None) == sse(*events)


def test_deltas_of_another_dialect_are_built():
    out = MessagesWriter(model="m", answer_id="msg_7", custom=frozenset({"apply_patch"}))
    written = out.write(Delta(b"data: {}\n\n", "hi", "hm")) + out.write(Delta(b"", finish="stop"))
    events = validated(written + out.finish({"a": 1}, None))
    assert (events[0]["message"]["id"], events[0]["message"]["model"]) == ("msg_7", "m")
    assert events[-2]["openfusion"] == {"a": 1}
    assert b"thinking" in written


def test_thinking_of_another_dialect_is_for_those_who_asked():
    out = MessagesWriter(reasoning=False)
    assert b"thinking" not in out.write(Delta(b"", "hi", "hm"))


def test_an_error_is_raised():
    with pytest.raises(UpstreamBroken, match="boom"):
        MessagesWriter().write(Delta(b"", error="boom"))


def test_nothing_read_is_no_answer():
    with pytest.raises(UpstreamBroken):
        MessagesWriter().finish(None, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(UpstreamBroken("x"), "overloaded_error"), (UpstreamTimeout("x"), "overloaded_error"),
     (Overloaded("x"), "overloaded_error"), (UpstreamRateLimited("x"), "rate_limit_error"),
     (BadRequest("x"), "invalid_request_error")],
)  # fmt: skip
def test_a_failure_is_an_error_event_that_clients_try_again(error, kind):
    (event,) = parsed(MessagesWriter().fail(error))
    assert event == {"type": "error", "error": {"type": kind, "message": "x"}}


def test_a_ping_keeps_a_client_waiting():
    out = MessagesWriter()
    assert parsed(out.keep_alive()) == [{"type": "ping"}]
    assert not out.started
