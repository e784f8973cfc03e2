"""`[[rules]]`: what may be said, and what is said about what may not."""

import pytest
import tomli_w
from pydantic import ValidationError

from openfusion_auto.config.load import load
from openfusion_auto.config.rules import MOST_EACH, RuleConfig, span_of
from openfusion_auto.core.rules import Span
from openfusion_auto.core.types import LEVELS
from openfusion_auto.errors import ConfigError

POOL = 'schema = 1\n[[candidates]]\nid = "a"\nupstream = "relay"\nmodel = "m"\nroles = ["coder", "reasoner"]\n'
HEAD = """\
[[upstreams]]
name = "relay"
base_url = "http://127.0.0.1:9311/v1"

[pool]
file = "pool.toml"

"""


def loaded(folder, text):
    (folder / "pool.toml").write_text(POOL)
    (folder / "openfusion.toml").write_text(HEAD + text)
    return load(None, {"XDG_CONFIG_HOME": str(folder / "xdg")}, {}, folder)


def refusal(folder, text):
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return caught.value.message


def test_rules_come_out_compiled_and_in_order(tmp_path):
    text = tomli_w.dumps(
        {
            "rules": [
                {
                    "name": "payments",
                    "keywords": ["Credit  Card"],
                    "patterns": [r"\biban\b"],
                    "paths": ["src/payments/**"],
                    "role": "reasoner",
                    "risk": "at_least medium",
                    "complexity": "at_most medium",
                    "mode": "verify",
                    "kind": "review",
                    "why": "money moves here",
                },
                {"name": "b", "keywords": ["x"], "risk": "low"},
            ]
        }
    )
    first, second = loaded(tmp_path, text).rules
    assert first.name == "payments"
    assert first.keywords == ("credit card",)
    assert first.patterns[0].search("my IBAN is") == (3, 7)
    assert first.paths == (("src", "payments", "**"),)
    assert (first.prefer, first.mode, first.kind) == ("reasoner", "verify", "review")
    assert first.risk == Span("medium", "high")
    assert first.complexity == Span("low", "medium")
    assert first.why == "money moves here"
    assert second.risk == Span("low", "low")


def test_without_rules_there_are_none(tmp_path):
    assert loaded(tmp_path, "").rules == ()


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_exact_or_a_bound(level):
    assert span_of(level) == Span(level, level)
    assert span_of(f"at_least {level}") == Span(level, "high")
    assert span_of(f" at_most  {level} ") == Span("low", level)


RULE = '[[rules]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            RULE + 'patterns = [\n  "fine",\n  "(",\n]\nrisk = "high"\n',
            "openfusion.toml:12: rules[0].patterns[1]: is not a regular expression: missing )",
        ),
        (
            RULE + 'patterns = ["(?=x)y"]\nrisk = "high"\n',
            "openfusion.toml:10: rules[0].patterns[0]: uses assert, which cannot be searched in linear time: write it",
        ),
        (
            RULE + 'patterns = ["a*"]\nrisk = "high"\n',
            "openfusion.toml:10: rules[0].patterns[0]: matches the empty text",
        ),
        (
            RULE + 'keywords = ["x"]\nrisk = "higher"\n',
            'openfusion.toml:11: rules[0].risk: must be low, medium or high, or such as "at_least medium"',
        ),
        (
            RULE + 'keywords = ["x"]\ncomplexity = "at_least"\n',
            "openfusion.toml:11: rules[0].complexity: must be low, medium or high",
        ),
        (RULE + 'risk = "high"\n', "openfusion.toml:8: rules[0]: never fires: give it keywords, patterns or paths"),
        (
            RULE + 'keywords = ["x"]\n',
            "openfusion.toml:8: rules[0]: does nothing: give it role, risk, complexity, mode or kind",
        ),
        (RULE + 'keywords = [" "]\nrisk = "high"\n', "rules[0].keywords[0]: must not be empty"),
        (RULE + 'paths = ["/"]\nrisk = "high"\n', "rules[0].paths[0]: must name a file or folder"),
        (RULE + 'paths = ["**/*"]\nrisk = "high"\n', "rules[0].paths[0]: must name a file or folder"),
        (RULE + 'keywords = "x"\nrisk = "high"\n', "rules[0].keywords: must be a list, not a string"),
        (RULE + 'keyword = ["x"]\nrisk = "high"\n', 'is not a known key (did you mean "keywords"?)'),
        (RULE + 'keywords = ["x"]\nmode = "double"\n', "rules[0].mode: must be one of single, verify, panel"),
        (RULE + 'keywords = ["x"]\nkind = "aux"\n', "rules[0].kind: must be one of bugfix"),
        ('[[rules]]\nkeywords = ["x"]\nrisk = "low"\n', "openfusion.toml:8: rules[0].name: is missing"),
        ('[[rules]]\nname = "a b"\nkeywords = ["x"]\nrisk = "low"\n', "rules[0].name: must be letters, digits"),
        (2 * (RULE + 'keywords = ["x"]\nrisk = "low"\n'), "rules: two have the name 'a'"),
        (
            RULE + 'keywords = ["x"]\nrole = "coderr"\n',
            "openfusion.toml:11: rules[0].role: no candidate plays 'coderr' (did you mean \"coder\"?); the pool has",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line_and_what_to_write_instead(tmp_path, text, says):
    assert says in refusal(tmp_path, text)


def test_a_rule_has_bounds():
    with pytest.raises(ValidationError):
        RuleConfig(name="a", keywords=["x"] * (MOST_EACH + 1), risk="low")
    with pytest.raises(ValidationError):
        RuleConfig(name="a", keywords=["x" * 501], risk="low")
