"""An upstream of slow streams whose every chunk says when it was sent; made of the one that speed is measured with.

    python -m tests.load.timed        prints its port, serves until it is terminated

`[[mock n=30 i=1000]]` in a prompt asks for 30 chunks, a second apart. A chunk's text is ` t=` and the machine's
monotonic clock in nanoseconds, in 20 digits: whoever reads it on the same machine knows how long it took.
`[[gate n=2000]]` lets all wait behind their heads until so many have come: then they are open at once, however long
opening them took.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from typing import ClassVar

from openfusion_auto.server.files import allow_connections
from tests.bench.mock import TAIL, Mock, _chunk, fast_loop

DIGITS = 20
GATE = re.compile(rb"\[\[gate n=(\d+)\]\]")
BEFORE, AFTER = _chunk({"content": " t=" + "0" * DIGITS}).split(b"0" * DIGITS)


class Timed(Mock):
    """One connection."""

    waiting: ClassVar[list[Timed]] = []

    def answer(self, request: bytes) -> None:
        gate = GATE.search(request)
        self.gate = int(gate[1]) if gate else 1
        super().answer(request)

    def later(self) -> None:
        if not self.gate:
            super().later()
            return
        self.waiting.append(self)
        if len(self.waiting) >= self.gate:
            for stream in self.waiting:
                stream.gate = 0
                # Anywhere in the first pause: real streams do not tick together.
                self.loop.call_later(random.uniform(0.0, stream.pause_s), stream.step)
            self.waiting.clear()

    def step(self) -> None:
        if self.transport.is_closing():
            return
        if self.left > 0:
            self.left -= 1
            self.transport.write(b"%b%020d%b" % (BEFORE, time.monotonic_ns(), AFTER))
            self.later()
        else:
            self.transport.write(TAIL)


async def serve() -> None:
    allow_connections()
    server = await asyncio.get_running_loop().create_server(Timed, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(serve())
