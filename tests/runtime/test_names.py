"""Names of models: what each asks for, and that a typo is never served by something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Options
from openfusion_auto.errors import BadRequest, ModelNotFound
from openfusion_auto.runtime.names import AUTO, FUSION, known_names, roles_of, wanted
from tests.support.pools import CODER, FAST, FOUR, candidate, pool

OFFERS = {"relay": ("models",), "open": ("any_model",)}


def ask(model, options=None, models=FOUR, offers=None):
    return wanted(model, options or Options(), models, offers or {"relay": ()})


def test_auto_leaves_everything_open():
    got = ask(AUTO)
    assert (got.role, got.only, got.extra, got.options) == (None, (), None, Options())


def test_fusion_is_a_panel():
    assert ask(FUSION, Options(mode="single")).options.mode == "panel"


@pytest.mark.parametrize("role", ["fast", "coder", "reasoner", "verifier", "writer"])
def test_a_role_that_some_candidate_plays_is_a_name(role):
    assert ask(f"openfusion/{role}").role == role


def test_a_role_that_nobody_plays_is_unknown():
    with pytest.raises(ModelNotFound):
        ask("openfusion/writer", models=pool(FAST))


@pytest.mark.parametrize("name", ["coder-a", "vendor/coder-a"])
def test_a_candidate_is_named_by_id_or_model(name):
    assert ask(name).only == ("coder-a",)


def test_a_model_at_two_upstreams_names_both():
    twins = pool(
        candidate("x", model="vendor/m"), candidate("y", model="vendor/m", upstream="other")
    )
    assert ask("vendor/m", models=twins).only == ("x", "y")


def test_a_typo_is_a_404_with_near_names():
    with pytest.raises(ModelNotFound) as found:
        ask("codr-a")
    assert found.value.status == 404
    assert found.value.param == "model"
    assert "'codr-a' does not exist" in found.value.message
    assert "Did you mean coder-a" in found.value.message


def test_a_name_like_nothing_points_to_the_list():
    with pytest.raises(ModelNotFound, match="GET /v1/models lists what there is"):
        ask("zzzzzzzz")


@given(st.text(max_size=300))
def test_an_unknown_name_is_refused_and_shown_printable_and_short(name):
    if name in known_names(FOUR) or name.startswith("vendor/"):
        return
    with pytest.raises(ModelNotFound) as found:
        ask(name)
    assert found.value.message.isprintable()
    assert len(found.value.message) < 600


def test_an_upstream_that_takes_any_model_gets_names_that_are_not_in_the_pool():
    got = ask("someone/new", offers=OFFERS)
    assert got.only == ("someone/new",)
    assert (got.extra.id, got.extra.upstream, got.extra.price) == ("someone/new", "open", None)
    assert ask("coder-a", offers=OFFERS).extra is None
    with pytest.raises(ModelNotFound):
        ask("openfusion/atuo", offers=OFFERS)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (Options(panel=("coder-a", "nobody")), "openfusion.panel"),
        (Options(judge="nobody"), "openfusion.judge"),
        (Options(candidates=("nobody",)), "openfusion.candidates"),
    ],
)
def test_options_that_name_nobody_are_refused_by_name(options, param):
    with pytest.raises(BadRequest) as found:
        ask(AUTO, options)
    assert (found.value.param, found.value.code, found.value.status) == (
        param,
        "unknown_candidate",
        400,
    )
    assert f"{param} names 'nobody'" in found.value.message


def test_a_typo_in_an_option_gets_a_hint():
    with pytest.raises(BadRequest, match="did you mean coder-a"):
        ask(AUTO, Options(judge="coder_a"))


def test_options_may_name_models():
    options = Options(
        panel=("vendor/coder-a", "fast-a"), judge="verifier-a", candidates=("fast-a",)
    )
    assert ask(AUTO, options).options is options


def test_all_names_are_listed_virtual_ones_first_then_roles_then_the_pool():
    own = pool(CODER, candidate("z", roles=("poet", "fast", "artist")))
    assert roles_of(own) == ("fast", "coder", "writer", "artist", "poet")
    assert known_names(own) == (
        AUTO, FUSION, "openfusion/fast", "openfusion/coder", "openfusion/writer",
        "openfusion/artist", "openfusion/poet", "coder-a", "z",
    )  # fmt: skip


def test_every_listed_name_can_be_asked_for():
    for name in known_names(FOUR):
        ask(name)
