"""A tunnel through an HTTP proxy (RFC 9110, section 9.3.6): asked for on a fresh socket, which then belongs to the host
at its other end.

Nothing that a proxy says is passed on but the number of its status.
"""

from __future__ import annotations

import asyncio
import re
import socket

from openfusion_auto.config.proxies import Proxy, authority

MAX_HEAD = 16 * 2**10  # [bytes] of the proxy's answer
ENDS = (b"\n\r\n", b"\n\n")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_SAID = {
    403: "the proxy does not let it through (403)",
    407: "the proxy wants a user name and a password (407)",
    502: "the proxy does not reach it (502)",
    503: "the proxy does not reach it (503)",
    504: "the proxy does not reach it (504)",
}
DENIED = "the proxy refuses the user name or the password (407)"


class NoTunnel(OSError):
    """There is no way through the proxy. Its text says why and whose fault it is; no host's name and nobody's words."""


async def open_tunnel(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Have the proxy at the other end of `sock` connect it to a host; what comes next on it is that host's.

    Raises:
        NoTunnel: it does not.
    """
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, asked(proxy, host, port))
        status = _STATUS.match(await _head(sock))
    except OSError:
        raise NoTunnel("the proxy closed the connection") from None
    if status is None:
        raise NoTunnel("the proxy's answer is not HTTP as it should be")
    if not 200 <= int(status[1]) < 300:
        raise NoTunnel(refused(int(status[1]), proxy))


async def _head(sock: socket.socket) -> bytes:
    """Return the head of an answer, or what is longer than one may be; byte by byte, for what stands behind it is not
    the proxy's, and stays in the socket.
    """
    loop, head = asyncio.get_running_loop(), bytearray()
    while not head.endswith(ENDS) and len(head) <= MAX_HEAD:
        byte = await loop.sock_recv(sock, 1)
        if not byte:
            raise ConnectionResetError
        head += byte
    return bytes(head) if len(head) <= MAX_HEAD else b""


def asked(proxy: Proxy, host: str, port: int) -> bytes:
    """Return the request for a tunnel."""
    there = authority(host, port)
    shown = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    head = f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n{shown}User-Agent: openfusion_auto\r\n"
    return f"{head}\r\n".encode()


def refused(status: int, proxy: Proxy) -> str:
    """Return what a proxy's refusal means."""
    if status == 407 and proxy.authorization:
        return DENIED
    return _SAID.get(status, f"the proxy refuses ({status})")
