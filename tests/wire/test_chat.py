from __future__ import annotations

import json
from dataclasses import replace

from openfusion_auto.core.prompt import Message, Part, Prompt
from openfusion_auto.errors import ModelNotFound
from openfusion_auto.wire import chat
from openfusion_auto.wire.chat_foreign import render_foreign

from .chats import raw


def test_a_chat_prompt_loses_nothing():
    prompt = chat.parse_request(raw(top_k=3), {"x-any": "header"})
    body, lost = chat.render_request(prompt, "m")
    assert json.loads(body) == json.loads(raw(top_k=3, model="m"))
    assert lost == ()


def test_a_prompt_of_another_dialect_says_what_it_lost():
    thought = Message("assistant", (Part("reasoning", "hm"), Part("text", "a")))
    prompt = Prompt("messages", "x", (thought,))
    found = chat.render_request(replace(prompt, stream=True), "m")
    assert found == render_foreign(replace(prompt, stream=True), "m")
    assert found.lost == ("reasoning of 1 message",)


def test_errors_have_openais_shape():
    shown = chat.error_body(ModelNotFound("No such model.", param="model"), "req-1")
    assert shown == {
        "error": {
            "message": "No such model.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }
