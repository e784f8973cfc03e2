"""What users of the library may rely on: the public names, and the error tree."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import openfusion_auto
from openfusion_auto import errors
from openfusion_auto.errors import FusionError

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("aiohttp", "asyncio", "click", "jsonschema", "numpy", "pydantic", "rich")

# The same call to the same candidate may succeed soon. Whoever adds one says why here.
RETRYABLE = {
    "Overloaded": "the server drains or is full for a moment",
    "RateLimited": "the wait is known to the millisecond",
    "UpstreamUnreachable": "a fresh connection mends most broken ones",
    "UpstreamRateLimited": "the upstream says when",
    "UpstreamOverloaded": "5xx of the upstream's own pass quickly or not at all",
}
# Classes without a code of their own: OpenAI's API gives null, or the case at hand names it.
WITHOUT_CODE = {"FusionError", "BadRequest", "NotFound"}
SCOPES = {"client", "operator", "candidate", "provider", "internal"}
TYPES = {
    "invalid_request_error",
    "server_error",
    "upstream_error",
    "rate_limit_error",
    "insufficient_quota",
}
# The client's own doing, but not its request: types that its libraries know.
LIMITS = {"RateLimited", "QuotaExceeded"}
UPSTREAM_STATUS = {429, 502, 504}


def tree(cls: type[FusionError] = FusionError) -> list[type[FusionError]]:
    """Return a class and all below it."""
    return [cls, *(c for sub in cls.__subclasses__() for c in tree(sub))]


# Defined in the package, not by some test.
ERRORS = [c for c in tree() if c.__module__.startswith("openfusion_auto.")]


def test_public_names_are_sorted_and_stand_once():
    assert openfusion_auto.__all__ == sorted(set(openfusion_auto.__all__))


def test_every_public_name_can_be_imported_and_says_what_it_is():
    for name in openfusion_auto.__all__:
        value = getattr(openfusion_auto, name)
        if name != "__version__":
            assert inspect.getdoc(value), f"{name} has no docstring"


def test_the_lazy_names_are_exactly_the_public_ones():
    assert set(openfusion_auto._HOMES) | {"__version__"} == set(openfusion_auto.__all__)


def test_type_checkers_see_the_same_homes_as_the_interpreter():
    source = ast.parse(Path(openfusion_auto.__file__).read_text(encoding="utf-8"))
    (guarded,) = (n for n in source.body if isinstance(n, ast.If))
    seen = {
        alias.name: str(node.module).removeprefix("openfusion_auto.")
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == openfusion_auto._HOMES


def test_a_public_name_is_the_object_of_its_module():
    for name, home in openfusion_auto._HOMES.items():
        module = importlib.import_module(f"openfusion_auto.{home}")
        assert getattr(openfusion_auto, name) is getattr(module, name)


def test_dir_lists_the_public_names():
    assert dir(openfusion_auto) == openfusion_auto.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Decidee'"):
        _ = openfusion_auto.Decidee


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, openfusion_auto; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_one_that_is_built():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert openfusion_auto.__version__ == project["version"]


def test_the_error_tree_is_drawn_completely():
    drawn = errors.__doc__ or ""
    assert {c.__name__ for c in ERRORS if c.__name__ not in drawn} == set()


def test_every_error_lives_in_the_one_module():
    strays = {c.__qualname__ for c in ERRORS if c.__module__ != errors.__name__}
    assert strays == set()


@pytest.mark.parametrize("cls", ERRORS, ids=lambda c: c.__name__)
def test_every_error_answers_what_a_caller_asks(cls):
    assert "__doc__" in vars(cls)
    assert (cls.__doc__ or "").strip()
    assert cls.scope in SCOPES
    assert cls.type in TYPES
    assert 400 <= cls.http_status <= 504
    if cls.scope == "client":
        assert cls.http_status < 500
        assert (cls.type == "invalid_request_error") != (cls.__name__ in LIMITS)
    if cls.scope == "operator":
        assert cls.http_status >= 500
    if issubclass(cls, errors.UpstreamError):
        assert cls.http_status in UPSTREAM_STATUS
        assert cls.scope in ("candidate", "provider")
    assert (cls.default_code is None) == (cls.__name__ in WITHOUT_CODE)


def test_codes_name_one_class_each():
    # One code for a rate of ours and of an upstream's: clients wait for either alike.
    shared = {"UpstreamRateLimited"}
    named = [c for c in ERRORS if c.__name__ not in shared]
    codes = [vars(c)["default_code"] for c in named if vars(c).get("default_code")]
    assert len(codes) == len(set(codes))
    assert all(code == code.lower() and code.replace("_", "").isalnum() for code in codes)


def test_only_the_listed_errors_are_retryable():
    assert {c.__name__ for c in ERRORS if c.retryable} == set(RETRYABLE)


@pytest.mark.parametrize("cls", ERRORS, ids=lambda c: c.__name__)
def test_what_is_given_wins_over_the_class(cls):
    plain = cls("what happened")
    assert str(plain) == plain.message == "what happened"
    assert (plain.code, plain.status) == (cls.default_code, cls.http_status)
    given = cls("x", param="model", code="own_code", status=418, retry_after_s=2.5)
    assert (given.param, given.code, given.status) == ("model", "own_code", 418)
    assert given.retry_after_s == 2.5
