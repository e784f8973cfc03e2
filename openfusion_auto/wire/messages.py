"""Anthropic's Messages dialect, whole: what a surface and an upstream of it need, in one place.

- `parse_request`, `parse_count_request`: a client's bytes to the hub
- `splice_request`, `render_request`: the hub to an upstream's bytes, as they came or written anew
- `read_answer`, `Reader`: an upstream's answer to the hub
- `render_answer`, `Writer`, `deltas_of`: the hub to a client's answer
- `error_body`: an error in the dialect's shape
- `wants_reasoning`: whether thinking may be shown
- `without_reasoning`: a prompt whose history holds no signed thinking
"""

from __future__ import annotations

from openfusion_auto.wire.messages_answer import (
    error_body,
    read_answer,
    read_usage,
    render_answer,
    render_usage,
)
from openfusion_auto.wire.messages_reader import MessagesReader as Reader
from openfusion_auto.wire.messages_render import render_request
from openfusion_auto.wire.messages_request import (
    parse_count_request,
    parse_request,
    splice_request,
    wants_reasoning,
    without_reasoning,
)
from openfusion_auto.wire.messages_stream import deltas_of
from openfusion_auto.wire.messages_writer import MessagesWriter as Writer

__all__ = [
    "Reader",
    "Writer",
    "deltas_of",
    "error_body",
    "parse_count_request",
    "parse_request",
    "read_answer",
    "read_usage",
    "render_answer",
    "render_request",
    "render_usage",
    "splice_request",
    "wants_reasoning",
    "without_reasoning",
]
