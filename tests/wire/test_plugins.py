"""OpenRouter's plugin `fusion`, read as options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Options
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.options import read_options
from openfusion_auto.wire.plugins import Fusion, fusion_of
from tests.wire.chats import outcome


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ({}, {"mode": "panel"}),
        ({"enabled": True, "tools": [], "model": None}, {"mode": "panel", "tools": {}}),
        ({"tools": [{"type": "openrouter:web_fetch"}]}, {"mode": "panel", "tools": {"web_fetch": True}}),
        ({"analysis_models": ["a", "b"], "model": "c"}, {"mode": "panel", "panel": ["a", "b"], "judge": "c"}),
        ({"preset": "general-high"}, {"mode": "panel", "preset": "quality"}),
        ({"preset": "general-budget"}, {"mode": "panel", "preset": "budget"}),
    ],
)  # fmt: skip
def test_what_the_plugin_says_is_said_as_options(said, options):
    assert fusion_of(["x", {"id": "fusion", **said}, {"id": "web"}]) == Fusion(
        options, ["x", {"id": "web"}]
    )
    assert read_options(options).mode == "panel"


@pytest.mark.parametrize(
    "plugins", [None, "fusion", {}, [], [1], [{"id": "web"}], [{"id": "fusion", "enabled": False}]]
)
def test_without_it_nothing_is_asked(plugins):
    assert fusion_of(plugins) is None


@pytest.mark.parametrize(
    ("said", "param", "code"),
    [
        ({"enabled": 1}, "enabled", "invalid_type"),
        ({"analysis_models": "a"}, "analysis_models", "invalid_type"),
        ({"analysis_models": ["a"]}, "analysis_models", "invalid_value"),
        ({"analysis_models": ["a"] * 9}, "analysis_models", "invalid_value"),
        ({"analysis_models": ["a", 1]}, "analysis_models[1]", "invalid_type"),
        ({"model": ""}, "model", "invalid_value"),
        ({"preset": "general-fast"}, "preset", "invalid_value"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"tools": ["openrouter:web_search"]}, "tools[0].type", "invalid_type"),
        ({"max_tool_calls": 4}, "max_tool_calls", "unsupported_option"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(said, param, code):
    with pytest.raises(BadRequest) as found:
        fusion_of([{"id": "web"}, {"id": "fusion", **said}])
    assert (found.value.param, found.value.code) == (f"plugins[1].{param}", code)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.lists(st.text(max_size=2), max_size=9)
)
KEYS = st.sampled_from(["enabled", "analysis_models", "model", "preset", "tools", "x"])


@given(st.dictionaries(KEYS, VALUES))
def test_any_plugin_is_options_or_a_400(said):
    found = outcome(fusion_of, [{"id": "fusion", **said}], of=BadRequest)
    if isinstance(found, BadRequest):
        assert found.status == 400
        assert found.param.startswith("plugins[0].")
    elif found is not None:
        assert isinstance(read_options(found.options), Options)
