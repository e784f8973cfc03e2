"""Calls through a proxy that does what a test says, over real sockets: what goes out, and each way it can fail."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from openfusion_auto.config.proxies import Proxy, Way, proxy_at
from openfusion_auto.errors import Overloaded, UpstreamUnreachable
from openfusion_auto.upstream.base import Call
from openfusion_auto.upstream.connections import Connections
from openfusion_auto.upstream.http import HttpUpstream, Timeouts
from openfusion_auto.upstream.tunnel import MAX_HEAD, NoTunnel, open_tunnel
from tests.support.faulty import closed_url
from tests.support.proxied import MADE, ProxyPeer
from tests.support.tls import FAR
from tests.upstream.conftest import CLOSE, RESET, STALL, Peer, chunked, ok

USER, PASSWORD = "me", "s3cret-of-the-proxy"
BODY = b'{"model":"m"}'


@dataclass
class Rig:
    proxy: ProxyPeer
    relay: Peer
    made: list = field(default_factory=list)

    def upstream(self, host=FAR, *, connect_s=2.0, login=f"{USER}:{PASSWORD}@", port=None):
        at = port or urlsplit(self.proxy.url).port
        made = HttpUpstream(
            "relay", f"https://{host}/v1", dialect="chat", path="/chat/completions", headers={},
            timeouts=Timeouts(connect_s, 2.0, 2.0, 4.0),
            way=Way(proxy_at(f"http://{login}127.0.0.1:{at}"), "HTTPS_PROXY"),
        )  # fmt: skip
        self.made.append(made)
        return made


@pytest.fixture
async def rig(serving):
    proxy, relay = ProxyPeer(), Peer()
    near = await asyncio.start_server(proxy.play, "127.0.0.1", 0)
    far = await asyncio.start_server(relay.play, "127.0.0.1", 0, ssl=serving)
    proxy.url = f"http://127.0.0.1:{near.sockets[0].getsockname()[1]}"
    proxy.to = far.sockets[0].getsockname()[1]
    made = Rig(proxy, relay)
    yield made
    for upstream in made.made:
        await upstream.close()
    await proxy.settled(0)  # nothing is left open, whatever a test did
    for server in (near, far):
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)


def call(*, stream=False):
    return Call("m", BODY, stream=stream)


async def asked(upstream, *, stream=False):
    opened = await upstream.open(call(stream=stream))
    try:
        return b"".join([part async for part in opened.chunks()])
    finally:
        await opened.close()


async def test_a_call_goes_through_the_tunnel_whole_and_streamed_on_a_kept_connection(rig):
    rig.relay.script = [(ok(b'{"a":1}'),), (chunked(b"data: 1\n\n", b"data: 2\n\n"),)]
    upstream = rig.upstream()
    assert await asked(upstream) == b'{"a":1}'
    assert await asked(upstream, stream=True) == b"data: 1\n\ndata: 2\n\n"
    shown = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert [r.decode().split("\r\n") for r in rig.proxy.requests] == [
        [
            f"CONNECT {FAR}:443 HTTP/1.1",
            f"Host: {FAR}:443",
            f"Proxy-Authorization: Basic {shown}",
            "User-Agent: openfusion_auto",
            "",
            "",
        ]
    ]
    assert rig.relay.connections == 1
    for request in rig.relay.requests:
        assert b"\r\nHost: relay.example\r\n" in request
        assert b"roxy" not in request


async def test_nothing_is_shown_to_a_proxy_that_asks_for_nothing(rig):
    assert await asked(rig.upstream(login="")) == b"{}"
    assert b"Authorization" not in rig.proxy.requests[0]


async def test_the_host_behind_a_proxy_is_not_looked_up_here_and_the_proxy_is(rig, monkeypatch):
    looked_up = []

    def find(host, port, **_kwargs):
        looked_up.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    port = urlsplit(rig.proxy.url).port
    connections = Connections(f"https://{FAR}", 2.0, way=Way(Proxy("proxy.corp", port)))
    (await connections.make()).close()
    assert looked_up == [("proxy.corp", port)]


async def test_who_is_at_the_other_end_is_checked_by_its_own_name(rig):
    with pytest.raises(UpstreamUnreachable, match="its certificate is another host's"):
        await asked(rig.upstream("other.example"))
    assert rig.proxy.requests[0].startswith(b"CONNECT other.example:443 ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ((b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\nwho?",), "the proxy refuses the user name or the password (407)"),
        ((b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nhidden",), "the proxy does not let it through (403)"),
        ((b"HTTP/1.1 502 hidden\r\n\r\n",), "the proxy does not reach it (502)"),
        ((b"HTTP/1.0 504\r\n\r\n",), "the proxy does not reach it (504)"),
        ((b"HTTP/1.1 302 Found\r\nLocation: http://hidden/\r\n\r\n",), "the proxy refuses (302)"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",), "the proxy refuses (100)"),
        ((b"SSH-2.0-hidden\r\n\r\n",), "the proxy's answer is not HTTP as it should be"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD + b"\r\n\r\n",), "the proxy's answer is not HTTP as it should be"),
        ((b"HTTP/1.1 200 OK\r\n", CLOSE), "the proxy closed the connection"),
        ((CLOSE,), "the proxy closed the connection"),
        ((RESET,), "the proxy closed the connection"),
    ],
)  # fmt: skip
async def test_a_proxy_that_makes_no_tunnel_is_told_in_one_line(rig, script, said):
    rig.proxy.script = [script]
    with pytest.raises(UpstreamUnreachable) as caught:
        await asked(rig.upstream())
    assert caught.value.message == f"upstream relay: no connection: {said}"
    assert caught.value.retryable
    assert await asked(rig.upstream()) == b"{}"  # the next try is a new one


async def test_a_proxy_that_wants_a_password_where_none_is_given_says_so(rig):
    rig.proxy.script = [(b"HTTP/1.1 407 No\r\n\r\n",)]
    with pytest.raises(UpstreamUnreachable, match=r"the proxy wants a user name and a password \(407\)"):  # fmt: skip
        await asked(rig.upstream(login=""))


@pytest.mark.parametrize("script", [(STALL,), (MADE, STALL), (b"HTTP/1.1 200 OK\r\n", STALL)])
async def test_a_silent_proxy_ends_with_the_time_to_connect(rig, script):
    rig.proxy.script = [script]
    with pytest.raises(UpstreamUnreachable, match="the proxy makes no connection in time"):
        await asked(rig.upstream(connect_s=0.2))


async def test_no_proxy_there_and_no_such_name_are_said_to_be_the_proxys(rig, monkeypatch):
    nobody = rig.upstream(port=urlsplit(closed_url()).port)
    with pytest.raises(UpstreamUnreachable, match=r"no connection: the proxy is not reached$"):
        await asked(nobody)

    def unknown(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "hidden")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        UpstreamUnreachable, match=r"no connection: the proxy's host name is not found$"
    ):
        await asked(rig.upstream())


async def test_no_file_left_for_the_proxys_connection_is_ours(rig, monkeypatch):
    def none_left(*_args, **_kwargs):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Connections, "_reach", none_left)
    with pytest.raises(Overloaded):
        await asked(rig.upstream())


async def test_where_no_proxy_can_be_used_nothing_is_sent(rig):
    connections = Connections(rig.proxy.url, 1.0, way=Way(fault="set RELAY_PROXY"))
    with pytest.raises(NoTunnel, match="set RELAY_PROXY"):
        await connections.make()
    assert rig.proxy.connections == 0


@pytest.mark.parametrize("script", [[(STALL,)], [(MADE, STALL)]])
async def test_who_leaves_before_the_tunnel_is_there_leaves_nothing_open(rig, script):
    rig.proxy.script = script
    asking = asyncio.create_task(asked(rig.upstream(connect_s=30)))
    async with asyncio.timeout(10):
        while not rig.proxy.requests:
            await asyncio.sleep(0.005)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await rig.proxy.settled(0)


@pytest.mark.parametrize(
    "head", [MADE, b"HTTP/1.0 204\r\nVia: x\r\n\r\n", b"HTTP/1.1 200 OK\nVia: x\n\n"]
)
async def test_what_the_host_says_behind_the_proxys_head_stays_its_own(head):
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.sendall(head + b"hello from afar")
        await open_tunnel(here, Proxy("p", 1), "fd12::1", 8443)
        assert there.recv(4096).startswith(
            b"CONNECT [fd12::1]:8443 HTTP/1.1\r\nHost: [fd12::1]:8443\r\n"
        )
        assert here.recv(4096) == b"hello from afar"


async def test_no_word_about_a_failure_holds_what_the_proxy_is_shown_or_said(rig, caplog):
    rig.proxy.script = [(b"HTTP/1.1 407 " + PASSWORD.encode() + b"\r\n\r\n",)]
    upstream = rig.upstream()
    with pytest.raises(UpstreamUnreachable) as caught:
        await asked(upstream)
    told = f"{caught.value!r} {caught.value.__cause__} {caplog.text} {upstream._connections._way}"
    assert PASSWORD not in told
    assert b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in told
