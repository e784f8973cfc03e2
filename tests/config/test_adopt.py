"""Files of other routers load as they are: their own example data, and what is wrong in one is named."""

from __future__ import annotations

import json
import tomllib

import pytest

from openfusion_auto.config.adopt import adopt
from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError

# README of fanout-openrouter, "Example fanout_policies.json", as it stands there.
POLICIES = """\
{
"policies": [
{
"virtual_model": "fanout/minimal",
"candidate_models": [
"anthropic/claude-haiku-4.5",
"openai/gpt-5.4-nano"
],
"fanout_count": 2,
"created": 1710000000
}
]
}
"""
# README of openfusion-proxy: the preset, the router and the limits, as they stand there.
PROXY = """\
preset: budget
router:
  enabled: true
  mode: heuristic # heuristic | model | always | never
  min_chars: 280 # prompts at/over this length fuse
limits:
  max_in_flight: 64 # cap concurrent requests; over-limit returns 503
  rate_limit_per_minute: 60 # per gateway key (or per client when unauthenticated); over-limit returns 429
"""
DEBATE = """\
strategy: debate
debate:
  rounds: 1 # revision rounds before the judge
"""
KNOWN = frozenset({"deepseek/deepseek-v4-pro", "moonshotai/kimi-k2.6"})


def made(folder, text, name="their.json"):
    """Adopt a text, write it, load it as the server would."""
    found = adopt(text, name, KNOWN)
    (folder / "openfusion.toml").write_text(found.toml(name))
    env = {"OPENROUTER_API_KEY": "k", "XDG_CONFIG_HOME": str(folder / "xdg")}
    return found, load(None, env, {}, folder)


def test_the_policy_file_of_the_readme_loads_as_it_is(tmp_path):
    found, settings = made(tmp_path, POLICIES)
    (own,) = settings.models
    asks, fan = own.options, own.options.fan
    assert found.names == (own.name,) == ("fanout/minimal",)
    assert own.created == 1710000000
    assert asks.panel == ("anthropic/claude-haiku-4.5", "openai/gpt-5.4-nano")
    # Both default to the first candidate there.
    assert (fan.count, fan.synthesis, fan.fallback) == (2, asks.panel[0], asks.panel[0])
    assert (asks.mode, asks.aggregator) == ("panel", "judge")
    assert {c.upstream for c in own.outside} == {"openrouter"}
    assert all("any_model" not in u.offers for u in settings.config.upstreams)
    assert settings.warnings == ()
    assert "no prices are known for anthropic/claude-haiku-4.5, openai/gpt-5.4-nano" in str(
        found.notes
    )


def test_more_answers_than_models_are_taken_in_turn_and_one_needs_no_panel(tmp_path):
    policy = {"virtual_model": "fanout/x", "candidate_models": ["a", "b"]}
    both = [{**policy, "fanout_count": 5}, {**policy, "virtual_model": "y", "fanout_count": 1, "default_fallback_model": "c"}]  # fmt: skip
    _, settings = made(tmp_path, json.dumps({"policies": both}))
    many, one = settings.models
    assert many.options.fan.count == 5
    assert (one.options.strategy, one.options.candidates) == ("fallback", ("a", "c"))


def test_the_preset_of_the_readme_loads_as_it_is(tmp_path):
    found, settings = made(tmp_path, PROXY, "openfusion.yaml")
    (own,) = settings.models
    assert own.name == "openfusion"  # what the proxy's clients ask for
    assert own.options.panel == (
        "openai/gpt-4o-mini",
        "deepseek/deepseek-v4-pro",
        "moonshotai/kimi-k2.6",
    )
    assert own.options.judge == own.options.fan.synthesis == "deepseek/deepseek-v4-pro"
    assert own.options.mode == "auto"  # the router decides
    assert own.options.tools == ("web_search", "web_fetch")
    limits = settings.config.limits
    assert (limits.max_concurrent, limits.requests_per_minute) == (64, 60)
    assert "router.min_chars is not taken over" in found.notes
    assert [c.id for c in own.outside] == ["openai/gpt-4o-mini"]


@pytest.mark.parametrize(
    ("mode", "way", "classifier"),
    [
        ("heuristic", "auto", "heuristic"),
        ("model", "auto", "model"),
        ("always", "panel", "heuristic"),
        ("never", "single", "heuristic"),
    ],
)
def test_each_mode_of_the_router_has_its_counterpart(tmp_path, mode, way, classifier):
    text = f"preset: quality\nrouter:\n  enabled: true\n  mode: {mode}\n"
    _, settings = made(tmp_path, text, "openfusion.yaml")
    assert settings.models[0].options.mode == way
    assert settings.config.classifier.mode == classifier


def test_without_the_router_every_request_is_answered_by_the_strategy(tmp_path):
    _, settings = made(tmp_path, DEBATE, "openfusion.yaml")
    assert settings.models[0].options.strategy == "debate"
    assert settings.policy.debate_rounds == 1
    _, settings = made(
        tmp_path, "preset: quality\naggregator: vote\nanalysis:\n  emit: true\n", "f.yaml"
    )
    asks = settings.models[0].options
    assert (asks.mode, asks.aggregator, asks.judge, asks.analysis) == ("panel", "vote", None, True)


def test_a_panel_that_is_spelled_out_goes_before_the_preset_and_its_keys_are_named_not_shown(
    tmp_path,
):
    text = (
        "preset: budget\nstrategy: debate\nrouter: {}\npanel:\n  - model: a/one\n    api_key: sk-secret-key\n"
        "  - model: b/two\njudge:\n  model: c/three\n  api_key: sk-secret-key\n"
    ).replace("router: {}\n", "")
    found, settings = made(tmp_path, text, "f.yaml")
    assert settings.models[0].options.panel == ("a/one", "b/two")
    assert settings.models[0].options.judge == "c/three"
    assert "panel.api_key is not taken over" in found.notes
    assert "sk-secret-key" not in found.toml("f.yaml")


def test_what_is_written_is_toml_that_says_where_it_came_from():
    found = adopt(POLICIES, "p.json", KNOWN)
    text = found.toml("p.json")
    assert text.startswith("# Made of p.json by openfusion init --from.\n# Note: ")
    assert tomllib.loads(text) == found.tables


POLICY = '{"virtual_model": "x", "candidate_models": ["a"]'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'{{"policies": [{POLICY}, "synthesis_modl": "a"}}]}}', 'f: policies[0].synthesis_modl: is not a known key (did you mean "synthesis_model"?)'),
        (f'{{"policies": [{POLICY}, "fanout_count": 0}}]}}', "f: policies[0].fanout_count: must be at least 1, got 0"),
        (f'{{"policies": [{POLICY}, "fanout_count": "2"}}]}}', "f: policies[0].fanout_count: must be a whole number, not a string"),
        ('{"policies": [{"virtual_model": "x", "candidate_models": []}]}', "f: policies[0].candidate_models: "),
        ('{"policies": [{"virtual_model": "openfusion/x", "candidate_models": ["a", "b"]}]}', "f: policies[0].virtual_model: must not begin with openfusion/"),
        ('{"policies": []}', "f: policies: "),
        ('{"policies": ', "f: is not valid JSON"),
        ('{"models": []}', "f: is neither a policy file of fanout-openrouter"),
        ("- a\n", "f: is no table of settings"),
        ("preset: cheap\n", "f: preset: must be one of quality, budget"),
        ("preset: budget\nrouter:\n  mode: heuristics\n", 'f: router.mode: must be one of heuristic, model, always, never (did you mean "heuristic"?)'),
        ("preset: &x budget\n", "f:1: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text, says):
    with pytest.raises(ConfigError) as found:
        adopt(text, "f", KNOWN)
    assert found.value.message.startswith(says)


def test_a_judge_outside_the_pool_without_a_panel_is_named_and_left_out(tmp_path):
    text = "strategy: self_fusion\njudge:\n  model: far/judge\n"
    found, settings = made(tmp_path, text, "openfusion.yaml")
    assert settings.models[0].options.judge is None
    assert settings.models[0].outside == ()
    said = "judge far/judge is not taken over: it is not in the pool, and no panel is given"
    assert said in found.notes
