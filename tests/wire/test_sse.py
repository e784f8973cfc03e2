from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.sse import Frame, SseReader

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:x",
        b"data",
        b"data: ",
        b"event: e",
        b": c",
        b":",
        b"id: 1",
        b"retry: 5",
        b"odd",
        b"",
        b"",
    ]
)
STREAMS = st.lists(
    st.tuples(LINES, ENDS) | st.tuples(st.binary(max_size=5), ENDS), max_size=20
).map(lambda pairs: b"".join(line + end for line, end in pairs))


def whole(data: bytes) -> list[Frame]:
    reader = SseReader()
    return reader.feed(data) + reader.close()


def split(data: bytes, cuts: list[int]) -> list[Frame]:
    reader = SseReader()
    frames: list[Frame] = []
    places = sorted({c % (len(data) + 1) for c in cuts})
    for low, high in zip([0, *places], [*places, len(data)], strict=True):
        frames += reader.feed(data[low:high])
    return frames + reader.close()


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=8), st.booleans())
def test_any_split_gives_the_same_frames(stream, cuts, bom):
    stream = b"\xef\xbb\xbf" * bom + stream
    assert split(stream, cuts) == whole(stream)


@given(STREAMS)
def test_one_byte_a_time_gives_the_same_frames(stream):
    assert split(stream, list(range(len(stream)))) == whole(stream)


@given(STREAMS)
def test_the_frames_bytes_joined_are_the_input(stream):
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    assert b"".join(f.raw for f in whole(b"\xef\xbb\xbf" + stream)) == stream


@given(st.lists(st.sampled_from([b"a", b"data:b", b"{}"]), max_size=4), ENDS)
def test_line_ends_do_not_change_what_is_read(lines, end):
    plain = b"".join(b"data: " + line + b"\n\n" for line in lines)
    other = b"".join(b"data: " + line + end + end for line in lines)
    assert [f.data for f in whole(other)] == [f.data for f in whole(plain)] == lines


def test_the_usual_frame_is_given_at_once_with_its_bytes():
    reader = SseReader()
    reader.feed(b"data: 0\n\n")
    assert reader.feed(b'data: {"a":1}\n\ndata: 2\n\nda') == [
        Frame(b'data: {"a":1}\n\n', "", b'{"a":1}'),
        Frame(b"data: 2\n\n", "", b"2"),
    ]
    assert reader.feed(b"ta: 3\n\n") == [Frame(b"data: 3\n\n", "", b"3")]
    assert reader.close() == []


def test_a_crlf_split_over_reads_is_one_line_end():
    reader = SseReader()
    assert reader.feed(b"data: 1\r\n\r") == []
    assert reader.feed(b"\ndata: 2") == [Frame(b"data: 1\r\n\r\n", "", b"1")]
    assert reader.close() == [Frame(b"data: 2", "", b"2")]


def test_a_lone_cr_at_the_end_is_a_blank_line_when_the_input_is_over():
    reader = SseReader()
    assert reader.feed(b"data: 1\r\r") == []
    assert reader.close() == [Frame(b"data: 1\r\r", "", b"1")]
    reader = SseReader()
    assert reader.feed(b"ignored\n\n\r") == [Frame(b"ignored\n\n", "", None)]
    assert reader.close() == [Frame(b"\r", "", None)]


@pytest.mark.parametrize(
    ("raw", "event", "data"),
    [
        (b"data:x\n\n", "", b"x"),
        (b"data:  x\n\n", "", b" x"),
        (b"data: a\ndata: b\n\n", "", b"a\nb"),
        (b"data\n\n", "", b""),
        (b"event: error\ndata: {}\n\n", "error", b"{}"),
        (b"event:e\n\n", "e", None),
        (b": hello\ndata: x\n\n", "", b"x"),
        (b": hello\n\n", "", None),
        (b"id: 7\nretry: 3\nodd: 1\ndata: x\n\n", "", b"x"),
        (b"\n", "", None),
        (b"data: x\r\n\n", "", b"x"),
        (b"data: x\n\r\n", "", b"x"),
        (b"data: last", "", b"last"),
        (b"data: last\n", "", b"last"),
        (b"event: \xff\ndata: x\n\n", "\ufffd", b"x"),
        (b"database: x\n\n", "", None),
    ],
)
def test_fields_are_read_as_the_standard_says(raw, event, data):
    assert whole(raw) == [Frame(raw, event, data)]


def test_a_byte_order_mark_is_dropped_only_at_the_beginning():
    assert whole(b"\xef\xbb\xbfdata: 1\n\n") == [Frame(b"data: 1\n\n", "", b"1")]
    assert whole(b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n")[1].data is None
    assert whole(b"\xef\xbb") == [Frame(b"\xef\xbb", "", None)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_frame_over_the_limit_breaks_the_stream_however_it_comes(size):
    reader = SseReader(limit=100)
    data = b"data: " + b"x" * 200 + b"\n\n"
    with pytest.raises(UpstreamBroken):
        for at in range(0, len(data), size):
            reader.feed(data[at : at + size])


def test_many_frames_within_the_limit_pass():
    reader = SseReader(limit=20)
    assert len(reader.feed(b"data: 1\n\n" * 100)) == 100


def test_a_long_event_in_small_reads_is_whole():
    body = b"x" * 3_000_000
    data = b"data: " + body + b"\n\n"
    reader = SseReader()
    frames = [f for at in range(0, len(data), 65536) for f in reader.feed(data[at : at + 65536])]
    assert [f.data for f in frames] == [body]
