"""A conversation in this process."""

import asyncio

import pytest

from openfusion_auto.cli.talk import answer_text, failed, start, summary
from openfusion_auto.errors import ModelNotFound, UpstreamError
from openfusion_auto.upstream.reply import Reply


@pytest.fixture
def begin():
    """Begin conversations, and end them after the test."""
    begun = []

    def one(model="openfusion/auto", **options):
        begun.append(start(None, dry_run=False, model=model, options=options))
        return begun[-1]

    yield one
    for talk in begun:
        asyncio.run(talk.close())


def say(talk, text):
    pieces = []
    asyncio.run(talk.stream(text, pieces.append))
    return pieces


def test_an_answer_comes_in_pieces_and_is_kept_for_the_next_turn(begin, configured, scripted):
    fake = scripted([Reply("one two three four five six seven"), Reply("again")])
    talk = begin(mode="single")
    pieces = say(talk, "count")
    assert len(pieces) > 1
    assert "".join(pieces) == "one two three four five six seven"
    say(talk, "more")
    sent = fake.calls[1].body
    assert b"one two three four five six seven" in sent
    assert [m["role"] for m in talk.messages] == ["user", "assistant"] * 2


def test_a_whole_answer_is_the_servers_body(begin, configured, scripted):
    scripted([Reply("fine")])
    talk = begin(mode="single")
    body = asyncio.run(talk.whole("how?"))
    assert body["object"] == "chat.completion"
    assert body["openfusion"]["mode"] == "single"
    assert answer_text(body) == "fine"
    assert talk.messages[-1] == {"role": "assistant", "content": "fine"}


def test_an_answer_that_breaks_off_is_shown_raised_and_forgotten(begin, configured, scripted):
    scripted([Reply("one two three four five six seven eight nine ten", cut_after=2)])
    talk = begin(mode="single")
    pieces = []
    with pytest.raises(UpstreamError):
        asyncio.run(talk.stream("count", pieces.append))
    assert "".join(pieces).startswith("one two")
    assert talk.messages == []
    assert talk.traces[0].outcome == "error"


def test_a_failure_before_the_first_piece_is_raised_and_forgotten(begin, configured, scripted):
    scripted([Reply(status=400, text="no")] * 3)
    talk = begin(mode="single")
    with pytest.raises(UpstreamError):
        say(talk, "count")
    assert talk.messages == []


def test_a_model_that_is_not_there_is_raised_with_near_names(begin, configured, scripted):
    scripted([])
    talk = begin("coder-b")
    with pytest.raises(ModelNotFound, match="coder-a"):
        say(talk, "x")


def test_a_new_conversation_is_a_new_session(begin, configured, scripted):
    scripted([Reply("a"), Reply("b")])
    talk = begin(mode="single")
    talk.restart()
    say(talk, "x")
    talk.restart()
    assert talk.messages == []
    say(talk, "y")
    assert talk.traces[1].pinned is False
    assert talk.traces[1].session_source == "option"


def test_a_conversation_keeps_its_session(begin, configured, scripted):
    scripted([Reply("a"), Reply("b")])
    talk = begin(mode="single")
    talk.restart()
    say(talk, "x")
    say(talk, "y")
    assert talk.traces[1].pinned is True


def test_the_summary_names_model_mode_money_time_and_trace(begin, configured, scripted):
    scripted([Reply("a")])
    talk = begin("coder-a", mode="single")
    say(talk, "x")
    line = summary(talk.traces[0], talk.engine)
    assert line.startswith("vendor/coder | single | $")
    assert line.endswith(f" ms | {talk.traces[0].id}")


def test_a_price_that_is_not_known_is_said(begin, configured, scripted):
    scripted([Reply("a")])
    talk = begin("fast-b", mode="single")
    say(talk, "x")
    assert "vendor/fast | single | cost unknown |" in summary(talk.traces[0], talk.engine)


def test_a_turn_that_came_to_nothing_has_a_summary_too(begin, configured, scripted):
    scripted([])
    talk = begin("nope")
    with pytest.raises(ModelNotFound):
        say(talk, "x")
    assert summary(talk.traces[0], talk.engine).startswith("nobody | undecided | $0.0000")

    assert failed(talk.traces[0], talk) == []  # nobody was called: the message says all


def test_a_refused_key_is_named_with_where_it_was_found(begin, configured, scripted):
    scripted([Reply(status=401, text="no")] * 9)
    talk = begin(mode="single")
    with pytest.raises(UpstreamError):
        say(talk, "x")
    call, last = failed(talk.traces[0], talk)
    assert " at relay: " in call
    assert call.endswith(" Its key: RELAY_API_KEY (environment).")
    assert last.startswith("failed | ")
    assert last.endswith(talk.traces[0].id)


def test_a_dry_run_spends_nothing(begin):
    talk = begin()
    say(talk, "hello")
    assert "| nothing spent (dry run) |" in summary(talk.traces[0], talk.engine)


def test_closing_releases_the_upstreams(begin, configured, scripted):
    fake = scripted([Reply(hang=True)])
    talk = begin(mode="single")

    async def both():
        asked = asyncio.create_task(talk.whole("x"))
        async with asyncio.timeout(30):
            while not fake.open_now:
                await asyncio.sleep(0.01)
        await talk.close()
        with pytest.raises(UpstreamError):
            await asked

    asyncio.run(both())
    assert fake.open_now == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": [1]},
        {"choices": [{"message": 1}]},
        {"choices": [{"message": {"content": None}}]},
    ],
)
def test_a_body_without_text_is_an_empty_answer(body):
    assert answer_text(body) == ""
