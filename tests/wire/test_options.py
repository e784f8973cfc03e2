from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Options
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.options import IDS_LIMIT, PRESETS, read_options

from .chats import outcome


@pytest.mark.parametrize(
    "nothing", [None, {}, {"mode": None, "panel": None, "session": None, "tools": None}]
)
def test_nothing_asked_is_the_default(nothing):
    assert read_options(nothing) == Options()


def test_every_option_is_read():
    given_ = {
        "mode": "panel", "panel": ["a", "vendor/b"], "judge": "j", "aggregator": "vote", "candidates": ["c"],
        "cost_quality": 7, "max_usd": 0.5, "max_calls": 4, "trace": "full", "session": "s 1", "cache": True,
    }  # fmt: skip
    assert read_options(given_) == Options(
        "panel", ("a", "vendor/b"), "j", "vote", ("c",), 7.0, 0.5, 4, "full", "s 1", cache=True
    )


@pytest.mark.parametrize(
    "default",
    [
        {"mode": "auto", "strategy": "panel"},
        {"panel": []},
        {"analysis": False},
        {"tools": {}},
        {"tools": {"web_search": False}},
    ],
)
def test_asking_for_what_happens_anyway_is_fine(default):
    assert read_options(default) == Options()


@pytest.mark.parametrize(
    ("asked", "tools"),
    [
        ({"web_search": True}, ("web_search",)),
        ({"web_fetch": True, "web_search": True}, ("web_search", "web_fetch")),
        ({"web_search": False, "web_fetch": True}, ("web_fetch",)),
    ],
)
def test_web_tools_are_named_one_by_one(asked, tools):
    assert read_options({"tools": asked}) == Options(tools=tools)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"mode": "best"}, "mode"), ({"mode": 1}, "mode"), ({"panel": "a"}, "panel"), ({"panel": [""]}, "panel[0]"),
        ({"panel": ["a", 2]}, "panel[1]"), ({"panel": ["a"] * (IDS_LIMIT + 1)}, "panel"), ({"judge": ""}, "judge"),
        ({"judge": "x" * 257}, "judge"), ({"aggregator": "mean"}, "aggregator"), ({"candidates": {}}, "candidates"),
        ({"cost_quality": 11}, "cost_quality"), ({"cost_quality": -1}, "cost_quality"),
        ({"cost_quality": True}, "cost_quality"), ({"cost_quality": "5"}, "cost_quality"),
        ({"max_usd": -0.1}, "max_usd"), ({"max_calls": 0}, "max_calls"), ({"max_calls": 1.0}, "max_calls"),
        ({"max_calls": 1001}, "max_calls"), ({"trace": "all"}, "trace"), ({"session": "a\nb"}, "session"),
        ({"session": 5}, "session"), ({"strategy": "chaos"}, "strategy"), ({"preset": 1}, "preset"), ({"preset": "best"}, "preset"),
        ({"analysis": "yes"}, "analysis"), ({"tools": []}, "tools"), ({"tools": {"web_search": 1}}, "tools.web_search"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_name(asked, param):
    with pytest.raises(BadRequest) as caught:
        read_options(asked)
    assert caught.value.status == 400
    assert caught.value.param == f"openfusion.{param}"
    assert caught.value.code in ("invalid_type", "invalid_value")


def test_an_unknown_key_is_refused_with_the_nearest_known_one():
    with pytest.raises(BadRequest, match="Did you mean 'cost_quality'"):
        read_options({"cost_qualty": 3})
    with pytest.raises(BadRequest, match=r"'openfusion\.zzz'\. Known are: mode, panel") as caught:
        read_options({"zzz": 3})
    assert caught.value.code == "unknown_option"
    with pytest.raises(BadRequest, match="Did you mean 'web_search'"):
        read_options({"tools": {"websearch": True}})


@pytest.mark.parametrize("odd", ["sk-0123456789", "x" * 41, "two words"])
def test_an_unknown_key_that_is_no_short_name_stays_unsaid(odd):
    with pytest.raises(BadRequest, match="in 'openfusion'") as caught:
        read_options({odd: 1})
    assert odd not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "mode", "strategy"),
    [
        ({"panel": ["a", "b"]}, "panel", "panel"), ({"strategy": "panel"}, "panel", "panel"),
        ({"panel": ["a", "b"], "preset": "fast"}, "panel", "panel"), ({"panel": ["a"], "mode": "auto"}, "auto", "panel"),
        ({"panel": ["a"], "mode": "single"}, "single", "panel"), ({"panel": ["a"], "strategy": "self_fusion"}, "auto", "self_fusion"),
    ],
)  # fmt: skip
def test_a_panel_that_is_named_is_asked_for_unless_another_way_is_said(asked, mode, strategy):
    found = read_options(asked)
    assert (found.mode, found.strategy) == (mode, strategy)


@pytest.mark.parametrize("other", [[], "auto", 1, True])
def test_the_field_is_an_object(other):
    with pytest.raises(BadRequest) as caught:
        read_options(other)
    assert (caught.value.param, caught.value.code) == ("openfusion", "invalid_type")


@given(
    st.dictionaries(
        st.sampled_from(
            ["mode", "panel", "judge", "max_usd", "max_calls", "trace", "tools", "strategy", "x"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4
        ),
    )
)
def test_any_object_is_options_or_a_400(value):
    found = outcome(read_options, value, of=BadRequest)
    assert isinstance(found, Options) or (found.status == 400 and found.param)


@pytest.mark.parametrize("strategy", ["self_fusion", "debate", "pipeline", "cascade"])
def test_a_strategy_is_read(strategy):
    assert read_options({"strategy": strategy}) == Options(strategy=strategy)


@pytest.mark.parametrize(
    ("strategy", "mode", "fits"),
    [("debate", "panel", True), ("cascade", "verify", True), ("cascade", "panel", False), ("debate", "single", False)],
)  # fmt: skip
def test_a_strategy_beside_another_mode_is_a_contradiction(strategy, mode, fits):
    asked = {"strategy": strategy, "mode": mode}
    if fits:
        assert read_options(asked).strategy == strategy
        return
    with pytest.raises(BadRequest, match="Leave one out") as caught:
        read_options(asked)
    assert (caught.value.code, caught.value.param) == ("conflicting_options", "openfusion.strategy")


def test_an_analysis_is_asked_for():
    assert read_options({"analysis": True}).analysis
    assert not read_options({"analysis": False}).analysis


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("quality", Options(mode="panel", cost_quality=0.0)),
        ("budget", Options(mode="panel", aggregator="vote", cost_quality=10.0, max_calls=6)),
        ("fast", Options(strategy="latency_optimized", max_calls=3)),
    ],
)
def test_a_preset_is_one_word_for_several_options(preset, options):
    assert read_options({"preset": preset}) == options
    assert set(PRESETS) == {"quality", "budget", "fast"}


@pytest.mark.parametrize(
    ("own", "options"),
    [
        ({"preset": "budget", "max_calls": 9, "aggregator": "judge"},
         Options(mode="panel", aggregator="judge", cost_quality=10.0, max_calls=9)),
        ({"preset": "quality", "mode": "verify"}, Options(mode="verify", cost_quality=0.0)),
        ({"preset": "quality", "strategy": "cascade"}, Options(strategy="cascade", cost_quality=0.0)),
        ({"preset": "fast", "mode": "panel"}, Options(mode="panel", max_calls=3)),
        ({"preset": "fast", "mode": None}, Options(strategy="latency_optimized", max_calls=3)),
    ],
)  # fmt: skip
def test_what_a_request_says_itself_goes_before_its_preset(own, options):
    assert read_options(own) == options


@given(st.sampled_from(sorted(PRESETS)), st.sampled_from(["single", "verify", "panel"]))
def test_a_preset_never_contradicts_a_mode(preset, mode):
    assert read_options({"preset": preset, "mode": mode}).mode == mode
