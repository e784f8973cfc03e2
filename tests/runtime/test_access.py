"""What a key may ask for."""

from dataclasses import replace

import pytest

from openfusion_auto.core.own import OwnModel
from openfusion_auto.core.prompt import Options
from openfusion_auto.errors import ModelNotFound
from openfusion_auto.runtime.access import Views, check_models, view_of
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import EVEN, FOUR, candidate, pool
from tests.support.rig import Rig

POOL = pool(candidate("fast-a", roles=("fast",)), candidate("coder-a"), candidate("coder-b"))


def test_candidates_that_are_named_are_the_only_ones():
    view = view_of(POOL, ("openfusion/auto", "coder-a", "vendor/fast-a"))
    assert [c.id for c in view.pool.candidates] == ["coder-a", "fast-a"]
    assert view.names == {"openfusion/auto", "coder-a", "vendor/coder-a", "fast-a", "vendor/fast-a"}
    assert view.pool.digest not in ("", POOL.digest)
    assert view.pool.digest != view_of(POOL, ("coder-a",)).pool.digest


def test_with_virtual_names_alone_any_candidate_may_stand_behind_them():
    view = view_of(POOL, ("openfusion/coder",))
    assert view.pool is POOL
    with pytest.raises(ModelNotFound):
        view.check("coder-a")
    view.check("openfusion/coder")


def test_what_is_not_there_is_refused_with_near_names_that_are():
    view = view_of(POOL, ("coder-a",))
    with pytest.raises(ModelNotFound, match="Did you mean coder-a or vendor/coder-a") as refused:
        view.check("coder-b")
    assert "coder-b" not in refused.value.message.partition("Did you mean")[2]
    with pytest.raises(ModelNotFound) as refused:
        view.check("zzzzz\n")
    assert "Did you mean" not in refused.value.message
    assert "\n" not in refused.value.message


def test_a_model_outside_the_pool_can_be_named():
    view = view_of(POOL, ("far/model", "coder-a"))
    view.check("far/model")
    with pytest.raises(ModelNotFound):
        view.check("far/other")


def test_views_are_made_once_and_no_models_means_everything():
    views = Views(POOL)
    assert views.of(()) is None
    assert views.of(("coder-a",)) is views.of(("coder-a",))
    assert views.of(("coder-a",)) is not views.of(("coder-b",))


def test_a_key_is_made_only_for_names_that_exist():
    check_models(
        ("openfusion/auto", "openfusion/fusion", "openfusion/fast", "coder-a", "vendor/coder-b"),
        POOL,
        any_model=False,
    )
    for name in ("codr-a", "openfusion/cheap", "far/model"):
        with pytest.raises(ModelNotFound):
            check_models((name,), POOL, any_model=False)
    own = {"team/careful": OwnModel("team/careful", "", Options())}
    check_models(("team/careful",), POOL, any_model=False, own=own)
    with pytest.raises(ModelNotFound, match="team/careful"):
        check_models(("team/carful",), POOL, any_model=False, own=own)
    check_models(("far/model",), POOL, any_model=True)
    with pytest.raises(ModelNotFound):
        check_models(("openfusion/cheap",), POOL, any_model=True)


def test_a_list_is_there_for_a_key_when_each_of_its_names_is():
    view = view_of(FOUR, ("coder-a", "fast-a", "own,name"))
    for model in ("coder-a,fast-a", "vendor/coder-a, fast-a", "own,name"):
        view.check(model)
    with pytest.raises(ModelNotFound, match="'verifier-a' does not exist, or your key"):
        view.check("coder-a,verifier-a")


def test_a_pool_is_found_by_its_digest_as_long_as_it_is_there():
    views = Views(FOUR)
    narrow = views.of(("coder-a",)).pool
    assert views.with_digest(FOUR.digest) is FOUR
    assert views.with_digest(narrow.digest) is narrow
    views.take(EVEN)  # another pool counts from now on
    assert views.with_digest(narrow.digest) is None


@pytest.mark.parametrize(
    "beside",
    [
        {"models": ["vendor/coder-b"]},
        {"plugins": [{"id": "web"}, {"id": "fusion", "analysis_models": ["coder-a", "coder-b"]}]},
        {"plugins": [{"id": "fusion", "model": "coder-b"}]},
        {"plugins": [{"id": "fusion"}]},
        {"plugins": [{"id": "fusion", "model": "coder-a"}]},
        {"tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": ["coder-b"]}}]},
        {"plugins": [{"id": "auto-router", "allowed_models": ["vendor/*"]}]},
    ],
)
async def test_a_key_reaches_no_other_model_through_its_upstream(beside):
    rig = Rig([Reply("fine")] * 2, pool=POOL, offers={"relay": ("models", "plugins")})
    view = view_of(POOL, ("openfusion/coder", "coder-a"))

    async def answered(**body):
        asked = replace(rig.incoming("hi", model="openfusion/coder", **body), view=view)
        await rig.engine.answer(asked, rig.engine.open(asked), None)

    with pytest.raises(ModelNotFound):
        await answered(**beside)
    assert rig.upstream.calls == []
    await answered(models=["vendor/coder-a"], plugins=[{"id": "web"}, 3])
    assert len(rig.upstream.calls) == 1
