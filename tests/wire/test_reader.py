"""What the readers of all dialects hold alike: nothing behind an end, deltas kept or not, bounds."""

from __future__ import annotations

import pytest

from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.messages_reader import MessagesReader
from openfusion_auto.wire.reader import CUT_SHORT, StreamReader
from openfusion_auto.wire.responses_reader import ResponsesReader

READERS = [ChatReader, MessagesReader, ResponsesReader]


@pytest.mark.parametrize("reader", READERS)
class TestEveryReader:
    def test_is_told_by_its_dialect(self, reader):
        assert issubclass(reader, StreamReader)
        assert reader().close()[-1].dialect == reader.dialect
        assert reader().answer().dialect == reader.dialect

    def test_drops_what_comes_behind_an_end(self, reader):
        made = reader()
        assert made.feed(b"data: junk\n\ndata: junk\n\n")[-1].error == "an event is not JSON"
        assert made.feed(b"data: {}\n\n") == []
        assert made.close() == []

    def test_tells_an_event_that_is_cut_from_one_that_is_junk(self, reader):
        made = reader()
        assert made.feed(b'data: {"half') == []
        assert made.close()[-1].error == CUT_SHORT

    def test_ends_at_an_event_without_end(self, reader):
        made = reader(limit=100)
        (delta,) = made.feed(b"data: " + b"x" * 200)
        assert delta.error == "an event is too long"
        assert reader(limit=100).feed(b"data: " + b"x" * 200 + b"\n\n")[0].error == delta.error

    def test_keeps_its_deltas_only_when_asked(self, reader):
        for keep in (True, False):
            made = reader(keep=keep)
            deltas = made.feed(b": comment\n\ndata: junk\n\n")
            assert made.answer().deltas == (tuple(deltas) if keep else ())
