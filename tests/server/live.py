"""A router that many cases share, over loopback; and what must hold for whatever is thrown at it."""

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import tomli_w
from aiohttp import web

from openfusion_auto.config.load import load
from openfusion_auto.page.mount import mount
from openfusion_auto.server.build import build
from openfusion_auto.server.incoming import listen
from openfusion_auto.server.keys import ENGINE
from tests.server.conftest import KEY_ENV, Router, candidate
from tests.support.faulty import FaultyUpstream

ALIVE_S = 5.0  # [s] within which the list of models must come after any case
SHOWN = ("traceback", 'file "', "openfusion_auto/", "aiohttp", "object at 0x")
GOOD = {
    "model": "openfusion/auto",
    "messages": [{"role": "user", "content": "[[say:fine]] Name the states of the parser"}],
}


@dataclass
class Live(Router):
    """A running router, the upstream behind it, and the application (to look into, not to drive)."""

    up: FaultyUpstream
    app: web.Application


@contextlib.asynccontextmanager
async def serving(
    folder,
    *,
    api_key="sk-upstream-secret",
    candidates=None,
    client_keys="",
    closed="",
    follow=False,
    offers=(),
    **tables,
):
    """Serve a configuration written to `folder`; as `start_router`, but for as many tests as the caller likes.

    `closed` is the address of a further upstream of that name. `follow`: its files, as `serve` does. `offers`: of the
    upstream.
    """
    async with FaultyUpstream() as up:
        if closed:
            both = {"relay": up.url, "closed": closed}
            tables["upstreams"] = [upstream_entry(name, url) for name, url in both.items()]
        if offers:
            tables["upstreams"] = [{**upstream_entry("relay", up.url), "offers": list(offers)}]
        config = written(
            folder, up.url, candidates or [candidate(context_tokens=8_000_000)], tables
        )
        env = {KEY_ENV: api_key, "OPENFUSION_STATE_DIR": str(folder / "state")}
        read = partial(load, config, {**env, "OPENFUSION_API_KEYS": client_keys}, {}, folder)
        app = build(read(), dry_run=False, read=read if follow else None)
        mount(app, folder / "state" / "receipts")
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5
        )
        await runner.setup()
        door = await listen(runner.server, "127.0.0.1", 0)
        try:
            root = f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}"
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
                yield Live(f"{root}/v1", root, app[ENGINE], http, up, app)
        finally:
            door.close()
            await runner.cleanup()


async def put_away(app):
    """Close what an application holds that never served."""
    runner = web.AppRunner(app)
    await runner.setup()
    await runner.cleanup()


def upstream_entry(name, url):
    """Return the configuration of an upstream that speaks chat."""
    return {"name": name, "base_url": url, "api_key_env": KEY_ENV, "dialect": "chat"}


def written(folder, url, candidates, tables):
    """Write a pool and a configuration; return the latter's path."""
    config = {"upstreams": [upstream_entry("relay", url)], "pool": {"file": "pool.toml"}, **tables}
    (folder / "pool.toml").write_text(tomli_w.dumps({"schema": 1, "candidates": candidates}))
    path = folder / "openfusion.toml"
    path.write_text(tomli_w.dumps(config))
    return path


# -- what came back --------------------------------------------------------------------------------------------------


@dataclass
class Reply:
    """One answer: status, headers (names in lower case; of several with one name the last), all bytes."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""

    @property
    def kind(self):
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def body(self):
        return json.loads(self.raw)

    @property
    def error(self):
        return self.body["error"]

    @property
    def text(self):
        return self.body["choices"][0]["message"]["content"]

    @property
    def shown(self):
        """Everything a client can see, in one text."""
        head = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{head}\n{self.raw.decode('utf-8', 'replace')}"


async def send(router, body, *, path="/chat/completions", method="POST", headers=None, key=None):
    """Send bytes (or what is dumped to JSON) as they are; `headers` go over the usual two, None takes one away."""
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    raw = io.BytesIO(raw) if raw is not None and len(raw) > 2**20 else raw  # as aiohttp wants it
    sent = {"Content-Type": "application/json", **(headers or {})}
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    without = [name for name, value in sent.items() if value is None]
    async with (
        asyncio.timeout(30),
        router.http.request(
            method,
            router.base + path,
            data=raw,
            headers={name: value for name, value in sent.items() if value is not None},
            skip_auto_headers=without,
            allow_redirects=False,
        ) as r,
    ):
        return Reply(r.status, {k.lower(): v for k, v in r.headers.items()}, await r.read())


def check_refusal(reply, *, code="any"):
    """A refusal of the client's request in OpenAI's shape, that shows nothing of how we are made."""
    assert 400 <= reply.status < 500
    assert reply.kind == "application/json"
    assert set(reply.body) == {"error"}
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert isinstance(reply.error["message"], str)
    assert reply.error["message"].strip()
    assert reply.error["type"] == "invalid_request_error"
    for name in ("param", "code"):
        assert reply.error[name] is None or isinstance(reply.error[name], str)
    check_shows_nothing(reply)
    assert code in ("any", reply.error["code"])


def check_shows_nothing(reply):
    """No trace of the program's inside."""
    low = reply.shown.lower().replace(reply.headers.get("server", "-").lower(), "")
    found = [word for word in SHOWN if word in low]
    assert not found


async def check_alive(router, *, key=None):
    """The server answers others at once."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        asyncio.timeout(ALIVE_S),
        router.http.get(f"{router.base}/models", headers=headers) as r,
    ):
        assert r.status == 200
        assert (await r.json())["object"] == "list"


# -- raw bytes -------------------------------------------------------------------------------------------------------

HOST = b"@HOST@"  # stands for the router's own address in raw requests


class Silent(Exception):
    """The connection stayed open and nothing (more) came."""


async def raw(router, data, *, eof=False, quiet_s=2.0):
    """Send bytes over a connection of their own and return what came until it was closed.

    `eof` closes our half behind them. Raises `Silent` when nothing comes for `quiet_s` [s].
    """
    host = router.root.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*host.split(":"), limit=1 << 24)
    got = bytearray()
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data.replace(HOST, host.encode()))
            if eof:
                writer.write_eof()
            while chunk := await asyncio.wait_for(reader.read(1 << 16), quiet_s):
                got += chunk
    except TimeoutError:
        raise Silent(f"after {bytes(got)[:200]!r}") from None
    finally:
        writer.transport.abort()
    return bytes(got)


def replies(data):
    """Cut what came on a connection into answers; asserts that nothing else is in it."""
    found = []
    while data:
        head, blank, rest = data.partition(b"\r\n\r\n")
        assert blank, f"not the head of an answer: {data[:80]!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = (first + " ").split(" ", 2)
        assert version.startswith("HTTP/")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body, data = cut_body(int(status), headers, rest)
        found.append(Reply(int(status), headers, body))
    return found


def cut_body(status, headers, rest):
    """Return the body that stands at the start, and what follows it."""
    if status < 200 or status in (204, 304):
        return b"", rest
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            body, rest = body + rest[:length], rest[length + 2 :]
            if not length:
                return body, rest
    length = int(headers.get("content-length", len(rest)))
    assert len(rest) >= length, "the answer is cut"
    return rest[:length], rest[length:]


def request(method="POST", path="/v1/chat/completions", body=None, **headers):
    """Return a raw request that is right; headers over the usual ones, None takes one away (`_` stands for `-`)."""
    data = json.dumps(GOOD).encode() if body is None else body
    usual = {"Host": HOST, "Connection": "close"}
    if method == "POST":
        usual |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [(k, v) for k, v in {**usual, **named}.items() if v is not None]
    head = b"".join(k.encode() + b": " + encoded(v) + b"\r\n" for k, v in lines)
    return (
        f"{method} {path} HTTP/1.1\r\n".encode("latin-1")
        + head
        + b"\r\n"
        + (data if method == "POST" else b"")
    )


def encoded(value):
    return value if isinstance(value, bytes) else value.encode("latin-1")
