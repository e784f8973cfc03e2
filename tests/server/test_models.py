"""What a client may ask for, in the forms of those who read it."""

from urllib.parse import quote

import pytest
import tomli_w

from openfusion_auto.config.pool import load_pool
from openfusion_auto.core.types import Pool
from openfusion_auto.server.models import catalogue, per_token
from tests.server.conftest import FOUR, candidate
from tests.support.faulty import FaultyUpstream


@pytest.fixture
def pool_of(tmp_path):
    def made(candidates):
        path = tmp_path / "pool.toml"
        path.write_text(tomli_w.dumps({"schema": 1, "candidates": candidates}))
        return load_pool(path)

    return made


class TestModels:
    async def test_the_list_holds_virtual_models_roles_and_the_pool(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            status, body = await router.get("/v1/models")
        ids = [m["id"] for m in body["data"]]
        roles = ["fast", "coder", "reasoner", "verifier", "writer"]
        assert status == 200
        assert ids == [
            "openfusion/auto",
            "openfusion/fusion",
            *(f"openfusion/{r}" for r in roles),
            "coder-a",
            "fast-a",
            "reasoner-a",
            "verifier-a",
        ]
        assert (body["first_id"], body["last_id"], body["has_more"]) == (ids[0], ids[-1], False)

    async def test_the_advertised_window_is_the_smallest_that_may_answer(self, start_router):
        vectors = candidate("v", context_tokens=8_000, roles=["embedding"], offers=["embeddings"])
        pool = [
            candidate("big"),
            candidate("small", context_tokens=50_000, roles=["writer"]),
            vectors,
        ]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            _, body = await router.get("/v1/models")
        windows = {m["id"]: m["context_length"] for m in body["data"]}
        assert windows["openfusion/auto"] == 50_000
        assert windows["openfusion/coder"] == 400_000

    async def test_prices_are_per_million_and_unknown_is_null(self, start_router):
        free = {k: v for k, v in candidate("free").items() if k != "price_usd_per_mtok"}
        pool = [candidate("paid"), free]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            await router.chat({"model": "paid", "messages": [{"role": "user", "content": "hi"}]})
            _, body = await router.get("/v1/models")
        info = {m["id"]: m["openfusion"] for m in body["data"]}
        assert info["paid"]["price_usd_per_mtok"]["output"] == 4.0
        assert info["free"]["price_usd_per_mtok"] is None
        assert info["free"]["live_ttft_ms"] is None

    @pytest.mark.parametrize("name", ["openfusion/auto", "coder-a", "vendor/coder-a"])
    @pytest.mark.parametrize("escaped", [False, True])
    async def test_one_model_by_id_with_or_without_an_escaped_slash(
        self, start_router, name, escaped
    ):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            path = quote(name, safe="") if escaped else name
            status, body = await router.get(f"/v1/models/{path}")
        assert status == 200
        assert body["id"] == name.removeprefix("vendor/")
        assert body["object"] == "model"

    async def test_an_unknown_model_is_not_found(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            status, body = await router.get("/v1/models/coder-b")
        assert (status, body["error"]["code"]) == (404, "model_not_found")
        assert "coder-a" in body["error"]["message"]


class TestOpenRoutersReaders:
    """What clients of OpenRouter read of `/api/v1/models`: they fail on what is missing, and pay by what they read."""

    async def test_every_entry_has_what_they_read(self, start_router):
        vectors = candidate("v", roles=[], offers=["embeddings"])
        async with FaultyUpstream() as up, start_router(up.url, candidates=[*FOUR, vectors]) as router:  # fmt: skip
            _, body = await router.get("/api/v1/models")
        for row in body["data"]:
            assert row["name"] == row["canonical_slug"] == row["id"]
            assert isinstance(row["description"], str)
            assert row["top_provider"]["context_length"] == row["context_length"]
            assert row["top_provider"]["max_completion_tokens"] == row["max_output_tokens"]
            assert {type(price) for price in row["pricing"].values()} == {str}
            assert {"prompt", "completion"} <= set(row["pricing"])
        rows = {row["id"]: row for row in body["data"]}
        assert rows["coder-a"]["pricing"] == {
            "prompt": "0.0000005", "completion": "0.000002", "input_cache_read": "0.00000005",
        }  # fmt: skip
        assert rows["openfusion/auto"]["pricing"] == {"prompt": "-1", "completion": "-1"}
        assert rows["v"]["architecture"]["modality"] == "text->embeddings"

    def test_a_virtual_model_can_what_one_behind_it_can(self, pool_of):
        plain = {"price_usd_per_mtok": {**candidate()["price_usd_per_mtok"], "input": 0.2}}
        pool = pool_of([candidate("a", offers=["tools"]), candidate("b", offers=["vision"], **plain)])  # fmt: skip
        auto = catalogue(pool, {}, {}, None)[0]
        assert auto["openfusion"]["offers"] == ["tools", "vision"]
        assert auto["openfusion"]["price_range_usd_per_mtok"] == {"input": [0.2, 1.0], "output": [4.0, 4.0]}  # fmt: skip
        assert auto["architecture"]["input_modalities"] == ["text", "image"]
        assert auto["supported_parameters"] == ["max_tokens", "tools", "tool_choice"]

    def test_prices_of_longer_prompts_are_told_in_both_forms(self, pool_of):
        longer = [{"above_tokens": 200_000, "input": 2.0, "output": 6.0}]
        rates = {**candidate()["price_usd_per_mtok"], "long_context": longer}
        auto, *_, own = catalogue(pool_of([candidate(price_usd_per_mtok=rates)]), {}, {}, None)
        (told,) = own["openfusion"]["price_usd_per_mtok"]["long_context"]
        assert told == {**longer[0], "cache_read": None, "cache_write": None}
        assert own["pricing"]["overrides"] == [
            {"min_prompt_tokens": 200_000, "prompt": "0.000002", "completion": "0.000006"}
        ]
        assert auto["openfusion"]["price_range_usd_per_mtok"] == {"input": [1.0, 2.0], "output": [4.0, 6.0]}  # fmt: skip

    def test_a_price_that_nobody_knows_is_told_as_such(self, pool_of):
        free = {k: v for k, v in candidate("free").items() if k != "price_usd_per_mtok"}
        auto, *_, own = catalogue(pool_of([free]), {}, {}, None)
        assert own["pricing"] == {"prompt": "-1", "completion": "-1"}
        assert auto["openfusion"]["price_range_usd_per_mtok"] is None

    def test_an_answer_is_no_longer_than_the_operator_allows(self, pool_of):
        for row in catalogue(pool_of([candidate()]), {}, {}, 500):
            assert row["max_output_tokens"] == row["top_provider"]["max_completion_tokens"] == 500

    def test_without_candidates_there_is_still_a_list(self):
        assert [row["id"] for row in catalogue(Pool(()), {}, {}, None)][:2] == ["openfusion/auto", "openfusion/fusion"]  # fmt: skip


@pytest.mark.parametrize(
    ("usd", "text"), [(0.0, "0"), (0.1, "0.0000001"), (15.0, "0.000015"), (1e6, "1"), (3.75, "0.00000375")]
)  # fmt: skip
def test_a_price_of_a_token_has_no_noise(usd, text):
    assert per_token(usd) == text
