"""A failure that an upstream tells with status 200, in a stream or as a body: agents act on it as on a status."""

from tests.server.dialects import CONTEXT, Says, Scripted, request_for
from tests.server.test_surfaces import pairs, tell, ways

LIMITED = {
    "chat": {"code": 429, "message": "Rate limited. Please try again in 7s."},
    "responses": {
        "code": "rate_limit_exceeded",
        "message": "Rate limit reached. Please try again in 7s.",
    },
    "messages": {"type": "rate_limit_error", "message": "Slow down, try again in 7s"},
}


@pairs
@ways
async def test_a_prompt_that_is_too_long_is_told_as_that(start_router, client, upstream, streamed):
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream) as router,
    ):
        up.script.append(Says(fail="told", error=CONTEXT[upstream]))
        status, _, raw = await tell(router, client, request_for(client), streamed=streamed)
        assert status == 400
        known = b"prompt is too long" if client == "messages" else b'"context_length_exceeded"'
        assert known in raw
        # It is the request's fault: asked once, and the candidate goes on serving others.
        assert len(up.requests) == 1
        assert (await tell(router, client, request_for(client)))[0] == 200


@pairs
@ways
async def test_a_rate_limit_is_told_with_its_time(start_router, client, upstream, streamed):
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream) as router,
    ):
        up.script.append(Says(fail="told", error=LIMITED[upstream]))
        status, headers, _ = await tell(router, client, request_for(client), streamed=streamed)
        assert (status, headers["Retry-After"]) == (429, "7")
        assert len(up.requests) == 1
