"""Bodies that come compressed although nobody asked for it: inflated piece by piece, never further than is read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

STEP = 2**20  # [bytes] inflated at once: a bomb is found out by who counts them
# The registered codings that change bytes (IANA, "HTTP Content Coding Registry", 2026-11). Servers also put other words
# into `Content-Encoding` ("utf-8", "none"), which say nothing of the body.
CODINGS = frozenset({
    "aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "x-compress", "x-gzip",
    "zstd",
})  # fmt: skip
MAGIC = b"\x1f\x8b"  # of a gzip member: a body may have several
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Garbled(Exception):
    """The body is not in the encoding that its head says, or not whole."""


def coding(said: str) -> str:
    """Return what a `Content-Encoding` says of the body, lower case; "" when it is as it is."""
    words = (word.strip() for word in said.lower().split(","))
    return ", ".join(word for word in words if word in CODINGS)


class Inflater:
    """Inflates one body.

    Args:
        encoding: Its `Content-Encoding`, lower case: gzip, x-gzip or deflate.

    Raises:
        Garbled: another encoding.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise Garbled
        self._gzip = encoding != "deflate"
        self._stream = zlib.decompressobj(_GZIP) if self._gzip else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` holds, at most `STEP` bytes at once. Raises `Garbled`."""
        if self._stream is None and data:
            # "deflate" is zlib's format, but some servers send the bare stream (RFC 9110, section 8.4.1.2).
            self._stream = zlib.decompressobj(_ZLIB if data[0] & 0x0F == 8 else _RAW)
        try:
            while self._stream is not None:
                out = self._stream.decompress(data, STEP)
                if out:
                    yield out
                data = self._stream.unconsumed_tail
                if self._stream.eof:
                    data = self._stream.unused_data
                    if not (self._gzip and data.startswith(MAGIC)):
                        return  # what stands behind the end is not read
                    self._stream = zlib.decompressobj(_GZIP)
                elif not data and len(out) < STEP:
                    return
        except zlib.error:
            raise Garbled from None

    def finish(self) -> None:
        """Check that the body was whole. Raises `Garbled`."""
        if self._stream is None or not self._stream.eof:
            raise Garbled
