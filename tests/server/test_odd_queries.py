"""Odd values of every parameter and every part of a path, on every address that is read: told, never a 500."""

import re
from urllib.parse import quote

import pytest
import pytest_asyncio
from yarl import URL

from tests.server.conftest import FOUR
from tests.server.live import GOOD, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = [
    "", "-1", "1e308", "1e309", "99999999999999999999", "253402300800", "NaN", "-inf", "1_0", "\u0663", "null", "[]", "\0",
    "a\r\nb", "' OR 1=1--", "../../etc/passwd", "%", "\U0001f4a5", "9" * 5000, "x" * 6000,
]  # fmt: skip
NO_UTF8 = ["%FF%FE", "%ED%A0%80"]
VALUES = [*(quote(value, safe="") for value in ODD), *NO_UTF8]
TRACES = ("limit", "before", "model", "mode", "outcome", "kind", "session", "since", "text")
# Where what is asked for is read -> the parameters.
READ = {
    "/v1/traces": TRACES,
    "/ui/traces": (*TRACES[1:], "within"),
    "/ui/pool": ("kind",),
    "/ui/receipts": ("before", "check"),
    "/ui/receipts/diff": ("of",),
    "/ui/traces/{trace}/what-if": ("cost_quality", "skill"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(tmp_path_factory):
    """A router that serves everything it has, with one trace."""
    folder = tmp_path_factory.mktemp("odd")
    async with serving(folder, candidates=FOUR, store={"texts": True}) as running:
        await running.chat(GOOD)
        yield running


def addresses(router):
    """Every path that is read, its variable part in braces; of those under several roots the one under `/v1`."""
    paths = {r.resource.canonical for r in router.app.router.routes() if r.method == "GET"}
    paths = {path for path in paths if not path.startswith(("/api/v1/", "/v1/v1/"))}
    return sorted(path for path in paths if f"/v1{path}" not in paths)


async def look(router, path):
    """The status of an address, sent as it stands."""
    url = URL(router.root + path, encoded=True)
    async with router.http.get(url, allow_redirects=False) as r:
        await r.read()
        return r.status


async def defects(router, paths):
    """Which of the paths are answered as a defect of ours."""
    looked = [(await look(router, path), path[:100]) for path in paths]
    return [(status, path) for status, path in looked if status >= 500]


async def test_no_value_of_a_parameter_is_a_defect(router):
    known = router.engine.traces.latest(1)[0].id
    found = []
    for route, names in READ.items():
        path = route.replace("{trace}", known)
        assert await look(router, path) in (200, 400)
        found += [f"{path}?{n}={value}" for n in names for value in VALUES]
        found += [f"{path}?{n}=1&{n}=nan&{n}=%00" for n in names]
    assert await defects(router, found) == []


async def test_no_part_of_a_path_is_a_defect_nor_a_parameter_that_nobody_reads(router):
    routes = addresses(router)
    assert {"/metrics", "/v1/models/{model}", "/ui/receipts/{number}"} < set(routes)
    found = [path for path in routes if "{" not in path]
    found += [re.sub(r"{\w+}", value, p) for p in routes if "{" in p for value in VALUES]
    assert await defects(router, [f"{path}?v=nan&x=%00&x=%FF" for path in found]) == []


async def test_a_trace_of_a_clock_that_was_wrong_is_shown(router):
    router.engine.traces.latest(1)[0].at = 3e11  # in the year 11476
    for path in ("/ui", "/ui/live", "/ui/traces", "/v1/traces"):
        assert await look(router, path) == 200, path
