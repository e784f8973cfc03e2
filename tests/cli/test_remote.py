"""Talking to a server: what every wrong answer becomes, and where a key goes."""

import asyncio
import json
import socket

import click
import pytest

from openfusion_auto.cli.common import load_settings
from openfusion_auto.cli.output import Failure
from openfusion_auto.cli.remote import Server, ask_server, fetch, read_object, server_of
from openfusion_auto.config.proxies import proxy_at
from tests.support import tls
from tests.support.proxied import ProxyPeer


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8787"),
        ("0.0.0.0", "http://127.0.0.1:8787"),
        ("::", "http://[::1]:8787"),
        ("localhost", "http://localhost:8787"),
    ],
)
def test_the_server_is_the_configured_one(monkeypatch, host, url):
    monkeypatch.setenv("OPENFUSION_HOST", host)
    monkeypatch.setenv("OPENFUSION_API_KEYS", "one, two")
    assert server_of(load_settings(None), None) == Server(url, "one")


def test_a_named_server_wins_and_loses_its_last_slash():
    assert server_of(load_settings(None), "http://127.0.0.1:1/") == Server("http://127.0.0.1:1")


@pytest.mark.parametrize("url", ["127.0.0.1:1", "ftp://x", "http://u:p@h", "http://h?k=1", ""])
def test_an_address_that_is_none_is_wrong_usage(url):
    with pytest.raises(click.UsageError, match="--server must"):
        server_of(load_settings(None), url)


def test_port_0_says_nothing_about_a_running_server(monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    with pytest.raises(click.UsageError, match="--server"):
        server_of(load_settings(None), None)


def test_the_key_stands_in_the_request_and_a_body_makes_it_a_post(canned):
    canned.replies["/x"] = (200, b'{"a": 1}')
    assert ask_server(Server(canned.url, "k1"), "/x", {"b": 2}) == {"a": 1}
    method, _, headers = canned.seen[0]
    assert method == "POST"
    assert headers["Authorization"] == "Bearer k1"
    assert headers["Content-Type"] == "application/json"


def test_without_a_key_none_is_sent(canned):
    canned.replies["/x?y=1"] = (200, b"{}")
    ask_server(Server(canned.url), "/x?y=1")
    assert "Authorization" not in canned.seen[0][2]


def test_a_redirect_is_not_followed(canned):
    canned.replies["/x"] = (302, f"{canned.url}/y".encode())
    with pytest.raises(Failure, match="status 302"):
        ask_server(Server(canned.url, "k1"), "/x")
    assert [path for _, path, _ in canned.seen] == ["/x"]


def test_a_proxy_of_the_environment_is_not_asked(canned, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    canned.replies["/x"] = (200, b"{}")
    assert ask_server(Server(canned.url), "/x") == {}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"error": {"message": "no key"}}', "no key (set OPENFUSION_API_KEYS"),
        (404, b'{"error": {"message": "gone\\u001b"}}', ": gone"),
        (200, b"<html>", "not as openfusion does"),
        (200, b"[1]", "not as openfusion does"),
        (500, b'{"error": "text"}', "status 500"),
        (500, b"", "status 500"),
    ],
)
def test_every_wrong_answer_is_one_sentence(canned, status, body, said):
    canned.replies["/x"] = (status, body)
    with pytest.raises(Failure) as caught:
        ask_server(Server(canned.url), "/x")
    assert said in caught.value.message
    assert "\x1b" not in caught.value.message
    assert caught.value.exit_code == 1


def test_where_nothing_listens_the_message_says_how_to_start_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Failure, match="openfusion serve") as caught:
        ask_server(Server(url), "/x")
    assert "Connection refused" in caught.value.message


def test_something_that_speaks_no_http_is_no_server(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as odd:
        import threading

        def reply():
            connection, _ = odd.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 smtp\r\n")

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(Failure, match="BadStatusLine"):
            ask_server(Server(f"http://127.0.0.1:{odd.getsockname()[1]}"), "/x")
        thread.join()


def test_a_key_that_cannot_be_sent_is_not_shown(canned):
    with pytest.raises(Failure) as caught:
        ask_server(Server(canned.url, "k\nX: y"), "/x")
    assert "k\n" not in caught.value.message
    assert canned.seen == []


def test_https_speaks_tls(canned):
    with pytest.raises(OSError, match=r"(?i)ssl|wrong version"):
        fetch(canned.url.replace("http:", "https:") + "/x", {}, timeout_s=5)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"[" * 100_000, b"1"])
def test_what_is_no_json_object_is_none(raw):
    assert read_object(raw) is None


def test_a_json_object_is_read():
    assert read_object(json.dumps({"a": 1}).encode()) == {"a": 1}


async def test_an_answer_from_behind_a_proxy_comes_through_a_tunnel(tmp_path, monkeypatch):
    async def answer(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()

    heads = []
    path = tls.certificate(tmp_path / "tls.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    far = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls.serving(path, monkeypatch))
    peer = ProxyPeer(to=far.sockets[0].getsockname()[1])
    near = await asyncio.start_server(peer.play, "127.0.0.1", 0)
    async with far, near:
        proxy = proxy_at(f"u:hidden@127.0.0.1:{near.sockets[0].getsockname()[1]}")
        key = {"Authorization": "Bearer sk-relay"}
        asked = asyncio.to_thread(fetch, f"https://{tls.FAR}/v1/models", key, proxy=proxy)
        assert await asked == (200, b"{}")
        await peer.settled(0)
    assert b"Proxy-Authorization: Basic dTpoaWRkZW4=" in peer.requests[0]
    assert b"sk-relay" not in peer.requests[0]
    assert b"Bearer sk-relay" in heads[0]
    assert b"roxy" not in heads[0]
