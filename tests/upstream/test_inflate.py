"""Compressed bodies: any split gives the same bytes, never more at once than a step, junk is told."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.upstream.inflate import STEP, Garbled, Inflater, coding

TEXT = b"data: one and two\n\n" * 50


@pytest.mark.parametrize(
    ("said", "means"),
    [("GZIP", "gzip"), ("gzip, identity", "gzip"), ("utf-8", ""), ("br , gzip", "br, gzip")],
)
def test_only_what_changes_bytes_counts(said, means):
    assert coding(said) == means


def raw_deflate(data):
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def inflated(encoding, *pieces):
    inflater = Inflater(encoding)
    out = [part for piece in pieces for part in inflater.feed(piece)]
    inflater.finish()
    return b"".join(out)


FORMS = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
]


@given(form=st.sampled_from(FORMS), data=st.binary(max_size=2000), cut=st.integers(0, 2000))
def test_any_split_gives_what_was_packed(form, data, cut):
    encoding, pack = form
    packed = pack(data)
    assert inflated(encoding, packed[:cut], packed[cut:]) == data
    assert inflated(encoding, *(packed[i : i + 1] for i in range(len(packed)))) == data


def test_gzip_may_have_several_members_and_junk_behind_its_end_is_not_read():
    two = gzip.compress(b"one") + gzip.compress(b"two")
    assert inflated("gzip", two) == b"onetwo"
    assert inflated("gzip", two + b"\0\0\0\0") == b"onetwo"
    assert inflated("deflate", zlib.compress(b"one") + b"junk") == b"one"


def test_what_is_flushed_comes_at_once():
    made = zlib.compressobj(wbits=31)
    first = made.compress(TEXT) + made.flush(zlib.Z_SYNC_FLUSH)
    assert b"".join(Inflater("gzip").feed(first)) == TEXT


@pytest.mark.parametrize("size", [STEP, 3 * STEP, 3 * STEP + 1])
def test_a_bomb_comes_in_steps(size):
    parts = list(Inflater("gzip").feed(gzip.compress(b"0" * size)))
    assert max(map(len, parts)) <= STEP
    assert sum(map(len, parts)) == size


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "junk"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(Garbled):
        Inflater(encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_junk_and_half_a_body_are_told(encoding):
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    for broken in (b"\x1f\x8b junk \xff\xff\xff\xff", pack(TEXT)[:-9], b""):
        with pytest.raises(Garbled):
            inflated(encoding, broken)
