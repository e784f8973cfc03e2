"""Names of models: what each asks for, and that a typo is never served by something else."""

from __future__ import annotations

from dataclasses import replace

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
    assert (got.role, got.only, got.outside, got.options) == (None, (), (), Options())


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
    assert [(c.id, c.upstream, c.price) for c in got.outside] == [("someone/new", "open", None)]
    assert ask("coder-a", offers=OFFERS).outside == ()
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


@pytest.mark.parametrize("model", ["coder-a,fast-a", " coder-a , fast-a "])
def test_a_list_is_a_panel_of_its_members_and_nobody_else(model):
    got = ask(model)
    assert (got.only, got.outside) == (("coder-a", "fast-a"), ())
    assert (got.options.mode, got.options.panel) == ("panel", ("coder-a", "fast-a"))


def test_a_judge_that_is_named_joins_a_list():
    got = ask("coder-a,fast-a", Options(judge="vendor/verifier-a"))
    assert got.only == ("coder-a", "fast-a", "verifier-a")
    assert got.options.panel == ("coder-a", "fast-a")


@pytest.mark.parametrize("own", [{"mode": "single"}, {"mode": "verify"}, {"strategy": "cascade"}])
def test_what_the_options_say_goes_before_the_panel_of_a_list(own):
    got = ask("coder-a,fast-a", Options(**own))
    assert replace(got.options, panel=()) == Options(**own)
    assert got.only == ("coder-a", "fast-a")


def test_a_list_in_an_order_keeps_it():
    got = ask("verifier-a,vendor/coder-a", Options(strategy="fallback"))
    assert (got.only, got.options.mode) == (("verifier-a", "coder-a"), "auto")


@pytest.mark.parametrize(
    "model", ["coder-a,nobody", "nobody,coder-a", "coder-a,", ",", "coder-a,,fast-a"]
)
def test_a_list_with_a_member_that_is_unknown_is_a_404(model):
    with pytest.raises(ModelNotFound) as found:
        ask(model)
    assert (found.value.status, found.value.param) == (404, "model")
    with pytest.raises(ModelNotFound, match=r"'codr-a' does not exist\. Did you mean coder-a"):
        ask("fast-a,codr-a")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("coder-a,openfusion/auto", "'openfusion/auto' is no single model"),
        ("openfusion/coder,fast-a", "'openfusion/coder' is no single model"),
        ("coder-a,coder-a", "'coder-a' stands twice"),
        ("coder-a,vendor/coder-a", "'vendor/coder-a' stands twice"),
    ],
)
def test_a_list_that_is_none_is_refused(model, says):
    with pytest.raises(BadRequest, match=says) as found:
        ask(model)
    assert (found.value.param, found.value.code) == ("model", "invalid_value")


def test_a_list_is_no_longer_than_a_panel_may_be():
    many = pool(*(candidate(f"m{i}") for i in range(9)))
    assert len(ask(",".join(f"m{i}" for i in range(8)), models=many).only) == 8
    with pytest.raises(BadRequest, match="names 9 models, and a list may have 8"):
        ask(",".join(f"m{i}" for i in range(9)), models=many)


@pytest.mark.parametrize("field", ["panel", "candidates"])
def test_a_list_beside_another_list_is_a_contradiction(field):
    with pytest.raises(BadRequest) as found:
        ask("coder-a,fast-a", Options(**{field: ("fast-a",)}))
    assert (found.value.param, found.value.code) == (f"openfusion.{field}", "conflicting_options")


def test_a_list_may_hold_models_outside_the_pool_where_an_upstream_takes_any():
    got = ask("coder-a,someone/new", Options(judge="fast-a"), offers=OFFERS)
    assert got.only == ("coder-a", "someone/new", "fast-a")
    assert [c.id for c in got.outside] == ["coder-a", "someone/new", "fast-a"]
