"""`[[models]]`: a good one is what it says, a bad one names its key with the nearest known name."""

from __future__ import annotations

import pytest

from openfusion_auto.config.load import load
from openfusion_auto.core.prompt import Each, FanOut
from openfusion_auto.core.turns import order
from openfusion_auto.errors import ConfigError
from tests.config.test_load_classifier import HEAD, POOL

CAREFUL = """\
[[models]]
name = "team/careful"
candidates = ["coder-a", "m/fast-a"]
fanout = 3
judge = "fast-b"
synthesis = "coder-a"
fallback = "fast-b"
"""


def loaded(folder, text, head=HEAD):
    (folder / "pool.toml").write_text(POOL)
    (folder / "openfusion.toml").write_text(head + text)
    return load(None, {"XDG_CONFIG_HOME": str(folder / "xdg")}, {}, folder)


def test_a_model_of_the_operators_own_is_what_a_request_for_it_asks(tmp_path):
    settings = loaded(tmp_path, CAREFUL)
    (own,) = settings.models
    asks = own.options
    assert (own.name, own.says, own.outside) == (
        "team/careful",
        "panel of 2 candidates, 3 answers",
        (),
    )
    assert (asks.mode, asks.strategy, asks.panel, asks.judge) == (
        "panel",
        "panel",
        ("coder-a", "m/fast-a"),
        "fast-b",
    )
    assert asks.candidates == ("coder-a", "m/fast-a", "fast-b")
    assert asks.fan == FanOut("team/careful", True, 3, "coder-a", "fast-b")
    assert settings.origin["models.team/careful"] == "file:openfusion.toml:8"
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("keys", "mode", "strategy"),
    [
        ("", "panel", "panel"),
        ('mode = "auto"', "auto", "panel"),
        ('mode = "single"', "single", "panel"),
        ('strategy = "debate"', "auto", "debate"),
        ('strategy = "fallback"', "auto", "fallback"),
        ('strategy = "cascade"\nmode = "verify"', "auto", "cascade"),
    ],
)
def test_its_mode_is_its_own_its_strategys_or_a_panel(tmp_path, keys, mode, strategy):
    (own,) = loaded(
        tmp_path, f'[[models]]\nname = "x"\ncandidates = ["coder-a", "fast-a"]\n{keys}\n'
    ).models
    assert (own.options.mode, own.options.strategy) == (mode, strategy)


def test_without_candidates_it_is_the_whole_pool(tmp_path):
    (own,) = loaded(tmp_path, '[[models]]\nname = "x"\naggregator = "vote"\n').models
    assert (own.options.candidates, own.options.fan.count) == ((), None)


def test_who_writes_judges_too_where_nobody_is_named_for_it(tmp_path):
    (own,) = loaded(
        tmp_path,
        '[[models]]\nname = "x"\ncandidates = ["coder-a", "fast-a"]\nsynthesis = "fast-b"\n',
    ).models
    assert own.options.judge == "fast-b"


def test_an_upstream_that_takes_any_model_serves_those_outside_the_pool(tmp_path):
    head = HEAD.replace("[pool]", 'offers = ["any_model"]\n\n[pool]')
    (own,) = loaded(
        tmp_path, '[[models]]\nname = "x"\ncandidates = ["coder-a", "far/model"]\n', head
    ).models
    assert [(c.id, c.upstream) for c in own.outside] == [("far/model", "relay")]


def test_an_upstream_that_is_named_serves_this_models_candidates_alone(tmp_path):
    text = '[[models]]\nname = "x"\nupstream = "relay"\ncandidates = ["coder-a", "far/model"]\n'
    settings = loaded(tmp_path, text)
    assert [(c.id, c.upstream) for c in settings.models[0].outside] == [("far/model", "relay")]
    assert settings.config.upstreams[0].offers == ()


BAD = [
    ('name = "x"\ncandidats = ["coder-a"]', 'models[0].candidats: is not a known key (did you mean "candidates"?)'),
    ('name = "x"\ncandidates = ["codr-a"]', "models[0].candidates: the pool has no candidate 'codr-a' (did you mean \"coder-a\"?)"),
    ('name = "x"\njudge = "fst-a"', "models[0].judge: the pool has no candidate 'fst-a' (did you mean \"fast-a\"?)"),
    ('name = "x"\naggregator = "votes"', 'models[0].aggregator: must be one of auto, judge, ranked, vote (did you mean "vote"?)'),
    ('name = "x"\nstrategy = "debat"', "models[0].strategy: must be one of panel, self_fusion, debate"),
    ('name = "x"\nfanout = 1\ncandidates = ["coder-a"]', "models[0].fanout: must be at least 2, got 1"),
    ('name = "x"\nupstream = "relai"', "models[0].upstream: there is no upstream 'relai' (did you mean \"relay\"?)"),
    ('name = "x"\nfanout = 2', "models[0]: fanout needs candidates"),
    ('name = "x"\nupstream = "relay"\njudge = "far/j"', "models[0].judge: 'far/j' is not in the pool; name the candidates it is for"),
    ('name = "x"\nupstream = "relay"\ncandidates = ["coder-a", "y"]\n[[models]]\nname = "y"', "models[0].candidates: 'y' is a model of your own; name candidates"),
    ('name = "x"\ncandidates = ["coder-a", "coder-a"]', "models[0]: a candidate stands twice"),
    ('name = "x"\nmode = "single"\nstrategy = "debate"', "strategy debate is a way of mode panel, not single"),
    ('name = "x"\nmode = "single"\nfallback = "coder-a"', "fallback belongs to a panel, and this is mode single"),
    ('name = "coder-a"', "models[0].name: 'coder-a' is a candidate's name"),
    ('name = "openfusion/mine"', "models[0].name: must not begin with openfusion/"),
    ('name = "a,b"', "models[0].name: must be letters, digits and"),
    ('name = "x"\n[[models]]\nname = "x"', "models: two have the name 'x'"),
    ("candidates = []", "models[0].name: is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "says"), BAD, ids=[b[0].replace("\n", " ")[:50] for b in BAD])
def test_a_wrong_one_is_refused_by_its_key_and_line(tmp_path, keys, says):
    with pytest.raises(ConfigError) as found:
        loaded(tmp_path, f"[[models]]\n{keys}\n")
    assert says in found.value.message
    assert found.value.message.startswith("openfusion.toml:")


def test_a_panel_that_is_never_gathered_is_a_warning(tmp_path):
    text = CAREFUL.replace("fanout = 3", "fanout = 16") + "\n[auto]\nmax_calls = 12\n"
    assert loaded(tmp_path, text).warnings == (
        "model team/careful: a panel of 16 is up to 18 calls, and max_calls is 12",
    )
    vote = CAREFUL.replace("fanout = 3", 'fanout = 12\naggregator = "vote"')
    assert loaded(tmp_path, vote).warnings == ()


WEIGHED = """\
[[models]]
name = "team/turns"
candidates = ["coder-a", "fast-a"]
strategy = "round_robin"
weights = { coder-a = 3, fast-a = 1.0 }
"""


def test_its_candidates_take_turns_by_weight(tmp_path):
    (own,) = loaded(tmp_path, WEIGHED).models
    assert own.options.each == (Each("coder-a", 3.0), Each("fast-a", 1.0))
    turns = [order(own.options.panel, own.options, n)[0] for n in range(4)]
    assert turns == ["coder-a", "coder-a", "fast-a", "coder-a"]


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("{ fast-b = 1 }", "weights names 'fast-b', which is not among candidates"),
        ("{ coder-a = -1 }", "weights must be 0 to 1e+06"),
        ("{ coder-a = 2e6 }", "weights must be 0 to 1e+06"),
        ("{ coder-a = 0, fast-a = 0 }", "weights needs one above 0"),
        ("{ coder-a = nan }", "coder-a"),
        ('{ coder-a = "3" }', "coder-a"),
    ],
)
def test_weights_that_cannot_be_are_refused(tmp_path, weights, says):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, WEIGHED.replace("{ coder-a = 3, fast-a = 1.0 }", weights))
    assert says in str(caught.value)
