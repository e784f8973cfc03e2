"""Which service tier a request asks for, and where."""

import json

import pytest

from openfusion_auto.core.prompt import Tiered
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.tiers import tier_told, tiers_asked, without_tier
from tests.server.dialects import request_for

SPOKEN = {"c": "chat", "m": "messages", "r": "responses"}


def prompt_of(dialect, **more):
    raw = json.dumps(request_for(dialect, "hi", **more)).encode()
    return CODECS[dialect].parse_request(raw)


@pytest.mark.parametrize(
    ("dialect", "body", "found"),
    [
        ("chat", {}, []),
        ("chat", {"service_tier": "auto"}, []),
        ("chat", {"service_tier": None}, []),
        ("chat", {"service_tier": "priority"}, [("c", "dearer"), ("r", "dearer")]),
        ("chat", {"service_tier": "flex"}, [("c", "cheaper"), ("r", "cheaper")]),
        ("chat", {"service_tier": "flex", "speed": "fast"}, [("c", "dearer"), ("r", "cheaper")]),
        ("responses", {"service_tier": "priority"}, [("r", "dearer")]),
        ("messages", {"speed": "fast"}, [("m", "dearer")]),
        ("messages", {"speed": "standard", "service_tier": "standard_only"}, []),
    ],
)
def test_a_tier_is_asked_for_where_the_field_arrives(dialect, body, found):
    prompt = prompt_of(dialect, **body)
    assert tiers_asked(prompt, SPOKEN) == tuple(Tiered(*f) for f in found)


@pytest.mark.parametrize("dialect", SPOKEN.values())
def test_a_request_without_its_tier_keeps_the_rest(dialect):
    plain, asked = prompt_of(dialect), prompt_of(dialect, speed="fast")
    freed = without_tier(asked)
    assert json.loads(freed.raw) == dict(freed.body) == dict(plain.body)
    assert tiers_asked(freed, SPOKEN) == ()
    assert tiers_asked(asked, SPOKEN)


@pytest.mark.parametrize("value", [None, 1, ["priority"], {"tier": "fast"}])
def test_what_is_no_name_tells_no_tier(value):
    assert tier_told(value) is None
