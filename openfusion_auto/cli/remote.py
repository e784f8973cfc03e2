"""Talking to a server over HTTP with the standard library: no redirect is followed, sizes bounded.

So a key goes to the address it was meant for and nowhere else. A server of ours is asked directly, an upstream by the
proxy that it is called by.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from openfusion_auto.cli.output import Failure, clean

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.config.proxies import Proxy

MAX_ANSWER = 32 * 2**20  # [bytes] a full trace is some tens of KB
TIMEOUT_S = 10.0  # [s] these questions call no model
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


class NobodyThere(Failure):
    """Nothing answers at the address."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and the key to show it."""

    url: str
    key: str | None = None


def server_of(settings: Settings, url: str | None, option: str = "--server") -> Server:
    """Return the server that the command line names by `option`, else the one that the configuration describes.

    Raises:
        click.UsageError: not a usable address, or port 0, which says nothing about a running server.
    """
    from openfusion_auto.config.addresses import checked_url

    keys = settings.client_keys
    if url is not None:
        try:
            return Server(checked_url(url), keys[0] if keys else None)
        except ValueError as error:
            raise click.UsageError(f"{option} {error}") from None
    host, port = settings.config.server.host.strip("[]"), settings.config.server.port
    if port == 0:
        raise click.UsageError(
            f"server.port is 0, so any port may be the server's: name it with {option}"
        )
    host = ANYWHERE.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    return Server(f"http://{shown}:{port}", keys[0] if keys else None)


def fetch(
    url: str,
    headers: Mapping[str, str],
    *,
    body: bytes | None = None,
    timeout_s: float = TIMEOUT_S,
    proxy: Proxy | None = None,
) -> tuple[int, bytes]:
    """Return status and body of one GET, or of a POST when there is a `body`; by `proxy` of an https URL alone.

    Raises:
        OSError: no connection, or silence for `timeout_s` [s].
        http.client.HTTPException: the answer is not HTTP.
        ValueError: a header that cannot be sent.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    host, port = (proxy.host, proxy.port) if proxy else (parts.hostname or "", parts.port)
    connection = kind(host, port, timeout=timeout_s)
    if proxy:
        shown = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
        connection.set_tunnel(parts.hostname or "", parts.port or 443, shown)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if body is None else "POST", target, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER)
    finally:
        connection.close()


def ask_server(
    server: Server, path: str, body: object = None, *, timeout_s: float = TIMEOUT_S
) -> dict[str, object]:
    """Return the JSON object that a server answers with.

    Raises:
        NobodyThere: no server there.
        Failure: an error of its own, or something that is no openfusion.
    """
    headers = {"Accept": "application/json", "User-Agent": "openfusion-cli"}
    if server.key:
        headers["Authorization"] = f"Bearer {server.key}"
    sent = None
    if body is not None:
        sent = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    try:
        status, raw = fetch(server.url + path, headers, body=sent, timeout_s=timeout_s)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise NobodyThere(
            f"no server answers at {server.url} ({why}): start one with `openfusion serve`, "
            "or name another with --server"
        ) from None
    except ValueError:  # the cause would show the key
        raise Failure("the first key of OPENFUSION_API_KEYS cannot stand in a header") from None
    answer = read_object(raw)
    if status == 200 and answer is not None:
        return answer
    raise Failure(said(server, status, answer))


def read_object(raw: bytes) -> dict[str, object] | None:
    """Return a JSON object, or None when `raw` is none."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def said(server: Server, status: int, answer: dict[str, object] | None) -> str:
    """Return the sentence for an answer that is not the one that was wanted."""
    error = (answer or {}).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    if not isinstance(message, str):
        return f"{server.url} answered with status {status}, but not as openfusion does"
    hint = " (set OPENFUSION_API_KEYS to one of its keys)" if status == 401 else ""
    return f"{server.url}: {clean(message)[:500]}{hint}"
