"""Which connections are kept, for how long, and how new ones are made."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

import pytest

from openfusion_auto.errors import Overloaded, without_files
from openfusion_auto.upstream import connections as module
from openfusion_auto.upstream.connections import Connections, patience, verifying
from tests.support.faulty import closed_url
from tests.upstream.conftest import CLOSE, ok

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def used(connections):
    """Make a connection, ask once on it and read the answer."""
    connection = connections.take_idle() or await connections.make()
    await connection.ask(HEAD, b"")
    while await connection.read():
        pass
    return connection


async def test_the_one_used_last_is_used_next(peer):
    connections = Connections(peer.url, 1.0)
    first, second = await used(connections), await used(connections)
    connections.give_back(first)
    connections.give_back(second)
    assert connections.take_idle() is second
    assert connections.take_idle() is first
    assert connections.take_idle() is None
    first.close()
    second.close()
    connections.close()


async def test_only_so_many_are_kept(peer, monkeypatch):
    monkeypatch.setattr(module, "IDLE_KEPT", 2)
    connections = Connections(peer.url, 1.0)
    for connection in [await used(connections) for _ in range(5)]:
        connections.give_back(connection)
    await peer.settled(2)
    connections.close()
    await peer.settled(0)


async def test_what_is_given_back_after_the_end_is_closed_at_once(peer):
    connections = Connections(peer.url, 1.0)
    connection = await used(connections)
    connections.close()
    connections.give_back(connection)
    assert connections.take_idle() is None
    await peer.settled(0)


async def test_unused_ones_are_closed_after_a_while_by_one_timer(peer, monkeypatch):
    monkeypatch.setattr(module, "IDLE_S", 0.8)
    connections = Connections(peer.url, 1.0)
    first, second = await used(connections), await used(connections)
    connections.give_back(first)
    await asyncio.sleep(0.6)  # the second stays that much longer: time to see that it does
    connections.give_back(second)
    timer = connections._sweeper
    await peer.settled(1)
    assert connections._sweeper is not timer
    await peer.settled(0)
    assert connections._sweeper is None


async def test_one_that_the_other_side_has_closed_is_not_used(peer):
    peer.script = [(ok(), 0.02, CLOSE)]
    connections = Connections(peer.url, 1.0)
    connections.give_back(await used(connections))
    await peer.settled(0)
    await asyncio.sleep(0.02)
    assert connections.take_idle() is None
    connections.close()


async def test_an_answer_that_says_close_ends_its_connection(peer):
    peer.script = [(ok(b"{}", "application/json", "Connection: close"),)]
    connections = Connections(peer.url, 1.0)
    connections.give_back(await used(connections))
    assert connections.take_idle() is None
    await peer.settled(0)


async def test_nobody_there_is_an_error():
    with pytest.raises(OSError):
        await Connections(closed_url(), 1.0).make()


async def test_finding_the_host_is_part_of_the_time_to_connect(peer, monkeypatch):
    answered = threading.Event()
    asked = []

    def slow(host, port, **_kwargs):
        asked.append(host)
        answered.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    connections = Connections(peer.url.replace("127.0.0.1", "slow.invalid"), 0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await connections.make()
    answered.set()
    async with asyncio.timeout(30):
        while not connections._addresses:
            await asyncio.sleep(0.01)
    (await connections.make()).close()
    assert asked == ["slow.invalid"]  # an answer that is late counts for whoever comes then


async def test_a_name_that_cannot_be_one_is_no_address(monkeypatch):
    def encode(host, *_args, **_kwargs):
        return host.encode("idna")

    monkeypatch.setattr(socket, "getaddrinfo", encode)
    with pytest.raises(socket.gaierror):
        await Connections(f"http://{'a' * 64}.invalid", 1.0).make()


@pytest.mark.parametrize("known", [True, False])
async def test_where_open_files_end_no_name_is_at_fault(peer, known):
    resource = pytest.importorskip("resource")
    bounds = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = Connections(peer.url.replace("127.0.0.1", "localhost"), 1.0)
    (await connections.make()).close()  # what else it needs is loaded
    if not known:
        connections._addresses = ()
    raised = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, bounds[1]))
    try:
        for _ in range(2):
            try:
                await connections.make()
            except OSError as error:
                raised.append(error)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, bounds)
    assert [type(without_files(error)) for error in raised] == [Overloaded, Overloaded]
    (await connections.make()).close()


async def test_a_name_is_looked_up_once_for_many(peer, monkeypatch):
    asked = []

    def counted(host, port, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    connections = Connections(peer.url.replace("127.0.0.1", "models.invalid"), 1.0)
    made = await asyncio.gather(*(connections.make() for _ in range(20)))
    assert asked == ["models.invalid"]
    for connection in made:
        connection.close()


async def test_after_a_host_was_not_reached_it_is_looked_up_anew(peer, monkeypatch):
    moved = iter([closed_url(), peer.url, peer.url])
    asked = []

    def find(host, _port, **_kwargs):
        asked.append(host)
        port = urlsplit(next(moved)).port
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    connections = Connections("http://models.invalid", 1.0)
    with pytest.raises(OSError):
        await connections.make()
    for _ in range(2):
        (await connections.make()).close()
    assert len(asked) == 2


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
async def test_one_that_was_kept_while_the_machine_slept_is_not_used(peer, jump_s):
    moments = [1e9]
    connections = Connections(peer.url, 1.0, lambda: moments[-1])
    connections.give_back(await used(connections))
    moments.append(1e9 + jump_s)
    assert connections.take_idle() is None
    await peer.settled(0)
    connections.close()


async def test_a_dead_address_holds_the_next_one_up_for_a_moment_only(peer, monkeypatch):
    def both(host, port, **kwargs):
        dead = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 9, 0, 0))
        return [dead, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    connection = await Connections(peer.url.replace("127.0.0.1", "two.invalid"), 1.0).make()
    connection.close()


async def test_a_peer_that_speaks_no_tls_is_no_secure_connection(peer):
    with pytest.raises(OSError):
        await Connections(peer.url.replace("http:", "https:"), 1.0).make()
    await peer.settled(0)


async def test_answers_over_tls_share_a_buffer_and_stay_apart(serving):
    bodies = {n: bytes([n]) * (2**20 + n) for n in range(4)}

    async def answer(reader, writer):
        number = int((await reader.readuntil(b"\r\n\r\n"))[6:7])
        body = bodies[number]
        framing = b"Content-Length: %d\r\n" % len(body) if number % 2 else b"Connection: close\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        for at in range(0, len(body), 50_021):
            writer.write(body[at : at + 50_021])
            await writer.drain()
        writer.close()

    async def read(number):
        connection = await connections.make()
        await connection.ask(
            b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % number, b""
        )
        parts = []
        while part := await connection.read():
            parts.append(part)
            await asyncio.sleep(0.001)  # what waits is held back, and read on
        connection.close()
        return b"".join(parts)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving)
    connections = Connections(f"https://localhost:{server.sockets[0].getsockname()[1]}/v1", 5.0)
    async with server:
        assert await asyncio.gather(*map(read, bodies)) == list(bodies.values())
    connections.close()


def test_certificates_and_names_are_checked():
    context = verifying()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert verifying() is context


async def test_a_process_that_was_busy_takes_its_own_lateness_for_nobody_elses(peer):
    connections = Connections(peer.url, 0.1)
    making = asyncio.create_task(connections.make())
    for _ in range(
        4
    ):  # about what it takes to come round to a connection: to be told, to be woken, to begin
        await asyncio.sleep(0)
        time.sleep(0.15)
    (await making).close()


async def test_patience_ends_where_the_process_could_look_all_the_time():
    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.2):
            await asyncio.sleep(60)
    assert 0.2 <= time.monotonic() - began_s < 30


async def test_what_is_done_in_time_leaves_no_timer_behind():
    async with patience(0.05):
        pass
    await asyncio.sleep(0.1)


async def test_a_patience_that_is_cut_from_outside_is_cancelled_and_no_timeout():
    async def wait():
        async with patience(60):
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
