"""What the official SDKs make of our refusals: their own error classes, waits that are kept, no useless second try."""

import asyncio

import anthropic
import openai
import pytest

from openfusion_auto.config.keyfile import Wish
from openfusion_auto.server.keys import KEYRING, LIMITER
from tests.server.conftest import FOUR
from tests.server.test_keyring import keyed

ASK = {"model": "openfusion/auto", "messages": [{"role": "user", "content": "[[say:fine]] go"}]}
POOR = Wish("poor", max_usd_per_day=0.0000001)


def of_openai(router, key, **more):
    return openai.AsyncOpenAI(base_url=router.base, api_key=key, **more)


def of_anthropic(router, key, **more):
    return anthropic.AsyncAnthropic(base_url=router.root, api_key=key, **more)


async def test_a_wrong_key_is_an_authentication_error(tmp_path):
    async with keyed(tmp_path, Wish("ci")) as (router, _):
        async with of_openai(router, "of_wrong") as client:
            with pytest.raises(openai.AuthenticationError) as refused:
                await client.chat.completions.create(**ASK)
            assert refused.value.code == "invalid_api_key"
            with pytest.raises(openai.AuthenticationError):
                await client.responses.create(model="openfusion/auto", input="hi")
        async with of_anthropic(router, "of_wrong") as client:
            with pytest.raises(anthropic.AuthenticationError):
                await client.messages.create(**ASK, max_tokens=50)


async def test_a_model_that_is_not_the_keys_is_not_found(tmp_path):
    wish = Wish("ci", models=("coder-a",))
    async with keyed(tmp_path, wish, candidates=FOUR) as (router, texts):
        async with of_openai(router, texts["ci"]) as client:
            with pytest.raises(openai.NotFoundError) as refused:
                await client.chat.completions.create(**ASK)
            assert refused.value.code == "model_not_found"
            assert [m.id async for m in client.models.list()] == ["coder-a"]
        async with of_anthropic(router, texts["ci"]) as client:
            with pytest.raises(anthropic.NotFoundError):
                await client.messages.create(**ASK, max_tokens=50)


async def test_a_budget_that_is_used_up_is_asked_for_once(tmp_path):
    async with keyed(tmp_path, POOR, candidates=FOUR) as (router, texts):
        async with of_openai(router, texts["poor"], max_retries=3) as client:
            with pytest.raises(openai.RateLimitError) as refused:
                await client.chat.completions.create(**ASK)
            assert refused.value.code == "insufficient_quota"
        async with of_anthropic(router, texts["poor"], max_retries=3) as client:
            with pytest.raises(anthropic.RateLimitError):
                await client.messages.create(**ASK, max_tokens=50)
        assert len(router.engine.traces.latest(10)) == 2


async def test_a_rate_makes_the_sdk_wait_as_long_as_we_say_and_then_it_is_served(tmp_path):
    async with keyed(tmp_path, Wish("ci", requests_per_minute=60)) as (router, texts):
        limiter, loop = router.app[LIMITER], asyncio.get_running_loop()
        client = router.app[KEYRING].find(texts["ci"])
        async with of_openai(router, texts["ci"], max_retries=2) as sdk:
            await sdk.chat.completions.create(**ASK)  # connections and imports are there
            scopes = limiter.scopes(client)
            while await limiter.counters.admit(scopes, 0) is None:
                limiter.counters.leave(scopes, 0, 0)
            began_s = loop.time()
            answer = await sdk.chat.completions.with_raw_response.create(**ASK)
            assert loop.time() - began_s > 0.9  # Retry-After: 1
            assert answer.parse().choices[0].message.content == "fine"
            assert answer.headers["x-ratelimit-limit-requests"] == "60"
