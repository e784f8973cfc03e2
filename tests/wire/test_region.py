"""Where an answer is computed: what a request asks for, and what an answer says."""

import json

import pytest

from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.region import us_asked, us_told
from tests.server.dialects import request_for

SPOKEN = {"c": "chat", "m": "messages", "n": "messages", "r": "responses"}


@pytest.mark.parametrize(
    ("dialect", "asked", "found"),
    [
        ("messages", "us", ("m", "n")),
        ("messages", "global", ()),
        ("messages", ["us"], ()),
        ("messages", None, ()),
        ("chat", "us", ()),  # Anthropic's own field: it arrives nowhere
    ],
)
def test_it_is_asked_for_where_the_field_arrives(dialect, asked, found):
    raw = json.dumps(request_for(dialect, "hi", inference_geo=asked)).encode()
    assert us_asked(CODECS[dialect].parse_request(raw), SPOKEN) == found


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"inference_geo": "us"}, True),
        ({"inference_geo": "global"}, False),
        ({"inference_geo": "not_available"}, False),
        ({"inference_geo": None}, None),
        ({"inference_geo": 1}, None),
        ({}, None),
        (None, None),
        ("us", None),
    ],
)
def test_an_answer_says_where_it_was_or_nothing(usage, told):
    assert us_told(usage) is told
