"""A server reads as its operator says."""

from openfusion_auto.core.classify import read
from openfusion_auto.core.rules import Span, rule
from openfusion_auto.runtime.reader import Reader
from tests.support.prompts import user

WORDS = "Rename the variable in src/auth/login.py"


def test_without_settings_it_is_the_trained_reading():
    assert Reader().read(user(WORDS), role=None, only=()) == read(user(WORDS))


def test_rules_are_applied():
    high = rule("auth", paths=["src/auth/"], risk=Span("high", "high"))
    got = Reader((high,)).read(user(WORDS), role="coder", only=("a",))
    assert (got.risk, got.role, got.only) == ("high", "coder", ("a",))
    assert got.evidence[-1].signal == "rule.auth"
