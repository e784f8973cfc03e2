"""By which proxy an address is reached: what the environment says, as curl and other programs understand it.

Only https goes by a proxy, in a tunnel: the proxy learns a host's name, and sees no key and no prompt.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from openfusion_auto.config.addresses import checked_host, is_loopback

# The first that is set counts. Lower case goes before, as in curl and in Python itself.
SECURE = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
PLAIN = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
EXCEPT = ("no_proxy", "NO_PROXY")
VARIABLES = frozenset((*SECURE, *PLAIN, *EXCEPT))
DEFAULT_PORT = 80
_OTHERS = ("https", "socks", "socks4", "socks4a", "socks5", "socks5h")  # kinds of proxies
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that makes tunnels.

    Attributes:
        host: Its name or address, an IPv6 one without brackets.
        port: Its port.
        authorization: What it is shown as `Proxy-Authorization`, a secret; None when nothing.
    """

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Host and port, as they may be shown."""
        return authority(self.host, self.port)


class Way(NamedTuple):
    """How an address is reached.

    Attributes:
        proxy: By which proxy; None = directly.
        why: The variable that names it, or why none is used though one is named; "" where none is named.
        fault: Why it is not reached at all, and nothing is to be sent; "" when it is.
    """

    proxy: Proxy | None = None
    why: str = ""
    fault: str = ""


def way_to(base_url: str, proxy_env: str | None, value_of: Callable[[str], str | None]) -> Way:
    """Return how an address is reached.

    Args:
        base_url: The address; http or https.
        proxy_env: The one variable that names the proxy; "" = directly; None = what is usual (`SECURE`, `EXCEPT`).
        value_of: Returns what a variable holds, None when it is not set.
    """
    parts = urlsplit(base_url)
    secure, host = parts.scheme == "https", (parts.hostname or "").rstrip(".")
    name = _first((proxy_env,) if proxy_env else SECURE if secure else PLAIN, value_of)
    if is_loopback(host):
        return Way(why="it is on this machine" if name else "")
    if name is None:
        return Way(fault=f"set {proxy_env}") if proxy_env else Way()
    if proxy_env == "":
        return Way(why='its proxy_env is ""')
    if not secure:
        return Way(why="only https:// goes by a proxy")
    but = _first(EXCEPT, value_of) if proxy_env is None else None
    if but is not None and names(value_of(but) or "", host, parts.port or 443):
        return Way(why=f"{but} names it")
    try:
        return Way(proxy_at(value_of(name) or ""), name)
    except ValueError as error:
        return Way(fault=f"{name} {error}")


def proxy_at(url: str) -> Proxy:
    """Return the proxy at a URL: `http://host:port`, also without `http://`, with a user and a password or without.

    Raises:
        ValueError: it is none, or not one over HTTP. The message never quotes more than its scheme.
    """
    scheme, mark, _ = url.partition("://")
    if mark and scheme.lower() in _OTHERS:
        raise ValueError(f"names a proxy of {scheme.lower()}://; only http:// ones are used")
    try:
        parts = urlsplit(url if mark else f"http://{url}")
        host, port = checked_host(parts.hostname or ""), parts.port
    except ValueError:
        host, port = "", None
    # A mark that stands in a password as it is would make a host of what was before it.
    if not host or parts.scheme != "http" or parts.path not in ("", "/") or {*"?#"} & {*url}:
        raise ValueError("must be http://host:port; in a password, / is %2F, ? is %3F, # is %23")
    given = parts.netloc.rpartition("@")[0]
    user, _, password = given.partition(":")
    basic = b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
    return Proxy(host, port or DEFAULT_PORT, f"Basic {basic}" if given else None)


def names(exceptions: str, host: str, port: int) -> bool:
    """Whether a list such as NO_PROXY names a host: itself, a domain that it is in, a network, or `*`."""
    return any(_names(entry, host, port) for entry in re.split(r"[\s,]+", exceptions.lower()))


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    with_port = _WITH_PORT.fullmatch(entry)
    if with_port is not None:
        if int(with_port[2]) != port:
            return False
        entry = with_port[1]
    try:
        address = ip_address(host)
    except ValueError:
        domain = entry.removeprefix("*").strip(".")
        return domain != "" and f".{host}".endswith(f".{domain}")
    try:
        return address in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False


def authority(host: str, port: int) -> str:
    """Return host and port in one, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _first(variables: tuple[str, ...], value_of: Callable[[str], str | None]) -> str | None:
    return next((name for name in variables if value_of(name)), None)
