"""The failure-phase contract over real sockets: fault x phase x dialect, streamed and whole, as `CASES` says."""

import pytest
import pytest_asyncio

from tests.agents.say import DIALECTS
from tests.server.failures import CASES, PHASES, SECRET, play_all, said

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
    pytest.mark.slow,
]

ROWS = [
    pytest.param(dialect, case, form, id=f"{dialect}-{case.name}-{form}")
    for dialect in DIALECTS
    for case in CASES
    for form in case.forms
    if dialect != case.but
]
SUCCESS = (b"[DONE]", b"response.completed", b"message_stop", b'"finish_reason":"stop"')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    """Play a dialect's cases, all of them side by side, when the first of them is asked for."""
    found = {}

    async def play(dialect):
        if dialect not in found:
            found[dialect] = await play_all(tmp_path_factory.mktemp(dialect), dialect, CASES)
        return found[dialect]

    return play


def line_of(attempt):
    """Return what the books say of a call: whose, how it ended, whether tokens were counted, of what."""
    return attempt["candidate"][0], attempt["status"], attempt["usd"] is not None


@pytest.mark.parametrize(("dialect", "case", "form"), ROWS)
async def test_with_another_candidate_the_client_sees_nothing_or_is_told(
    played, dialect, case, form
):
    got = (await played(dialect))[case, form, "two"]
    failed = [("a", "error", case.booked)] * case.tries
    assert SECRET.encode() not in got.raw
    if case.told:
        check_told(got, dialect, case)
        assert list(map(line_of, got.attempts)) == failed
        return
    assert (got.status, got.event, got.outcome) == (200, False, "ok")
    assert got.calls == 1
    assert got.text in ("", "I will do that now.")
    assert list(map(line_of, got.attempts)) == [*failed, ("b", "ok", True)]


@pytest.mark.parametrize(("dialect", "case", "form"), ROWS)
async def test_with_nobody_else_the_client_is_told_in_its_own_dialect(played, dialect, case, form):
    got = (await played(dialect))[case, form, "alone"]
    assert SECRET.encode() not in got.raw
    assert list(map(line_of, got.attempts)) == [("c", "error", case.booked)] * case.tries_alone
    estimated = [a["estimated"] for a in got.attempts if a["usd"] is not None]
    assert estimated == [not case.reported] * len(estimated)
    assert got.outcome == "error"
    if case.told:
        check_told(got, dialect, case)
        return
    status, kind, code = said(dialect, case)
    assert (got.status, got.error["type"], got.error.get("code")) == (status, kind, code)
    assert got.error["message"]
    assert got.retry_after == case.retry_after


def check_told(got, dialect, case):
    """The text so far, then the dialect's own failure, and nothing that looks like a good end."""
    _, kind, code = said(dialect, case)
    assert (got.status, got.event, got.calls) == (200, True, 0)
    assert "I will do that now.".startswith(got.text)
    assert got.text
    assert (got.error.get("type"), got.error.get("code")) == (kind, code)
    assert not [end for end in SUCCESS if end in got.raw]


async def test_every_phase_has_its_cases_and_no_two_have_one_name():
    names = [(case.name, form) for case in CASES for form in case.forms]
    assert len(set(names)) == len(names)
    assert {len(cases) for cases in PHASES.values()} >= {4, 5}
