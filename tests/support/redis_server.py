"""A real redis-server on a socket of its own, that can be killed and started again."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

# [s] for `redis.wait_s`: on a busy machine a Redis that is there answers late, and each server would go on for itself.
PATIENT_S = 10.0


class RedisServer:
    """One server without a file: what it held is gone when it ends."""

    def __init__(self, program):
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="of-redis-"))  # a socket's path must be short
        self._socket = self._folder / "s"
        self._process = None
        self.url = f"unix://{self._socket}"

    async def start(self):
        self._process = subprocess.Popen(
            [
                self._program, "--port", "0", "--unixsocket", str(self._socket), "--save", "",
                "--appendonly", "no", "--dir", str(self._folder),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(60):
            while not await self._answers():
                await asyncio.sleep(0.02)

    async def _answers(self):
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            return False
        writer.write(b"PING\r\n")
        said = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return said == b"+PONG\r\n"

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def close(self):
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def redis_server(program):
    """Run a server: `program` is the path of redis-server."""
    server = RedisServer(program)
    try:
        await server.start()
        yield server
    finally:
        server.close()
