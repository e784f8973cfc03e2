"""Keys of upstreams that an operator gave on the page: in this process's memory, until it ends, and nowhere else.

They count as what the environment does not say, and for the address alone that an upstream had when its key was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aiohttp import web

from openfusion_auto.config.given import origin_of
from openfusion_auto.config.load import Settings
from openfusion_auto.config.schema import UpstreamConfig

LONGEST = 4096  # [characters] of a key


class Lack(NamedTuple):
    """An upstream for which nothing but the page has a key.

    Attributes:
        upstream: Its name.
        variable: Where its key is looked for otherwise.
        address: Where a key is sent: scheme, host and port.
        held: Whether a key was given here.
        why_not: Why none can be given here; None when one can.
    """

    upstream: str
    variable: str
    address: str
    held: bool
    why_not: str | None


class HeldKeys:
    """Keys by variable and address. Nothing that prints or pickles this object reaches into it."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], str] = {}

    def __repr__(self) -> str:
        return "<held keys>"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not written")

    def hold(self, lack: Lack, key: str) -> str:
        """Take a key, or with "" forget it; the next reading of the configuration counts it. Returns what was held.

        Raises:
            ValueError: it is no key.
        """
        if not (key.isascii() and key.isprintable() and " " not in key and len(key) <= LONGEST):
            raise ValueError("That holds characters that no key has, or too many; nothing is kept.")
        place = (lack.variable, lack.address)
        before = self._keys.pop(place, "")
        if key:
            self._keys[place] = key
        return before

    def over(self, settings: Settings) -> Settings:
        """Return settings with what they lack and is held; where the page takes no keys any more, all are forgotten."""
        if not settings.config.page.take_keys:
            self._keys.clear()
            return settings
        rows = [row for row in lacks(settings) if row.why_not is None]
        found = [(row.variable, self._keys.get((row.variable, row.address))) for row in rows]
        return settings.knowing({variable: key for variable, key in found if key})

    def after(self, read: Callable[[], Settings]) -> Callable[[], Settings]:
        """Return how settings are read with what is held."""
        return lambda: self.over(read())

    def lacks(self, settings: Settings) -> list[Lack]:
        """Return whose key is held, or still lacking, with settings that were read so."""
        rows = [
            lack_of(u, settings)
            for u in settings.config.upstreams
            if u.api_key_env
            and (settings.key(u.name) is None or self._is_held(u, settings.key(u.name)))
        ]
        return [row._replace(held=(row.variable, row.address) in self._keys) for row in rows]

    def _is_held(self, upstream: UpstreamConfig, key: str | None) -> bool:
        place = (upstream.api_key_env or "", origin_of(upstream.base_url))
        return self._keys.get(place) == key


def lacks(settings: Settings) -> list[Lack]:
    """Return the upstreams whose key is found nowhere."""
    ups = settings.config.upstreams
    return [lack_of(u, settings) for u in ups if u.api_key_env and settings.key(u.name) is None]


def lack_of(upstream: UpstreamConfig, settings: Settings) -> Lack:
    """Return what can be done about an upstream's missing key."""
    variable, address = upstream.api_key_env or "", origin_of(upstream.base_url)
    same = (u for u in settings.config.upstreams if u.api_key_env == variable)
    several = {origin_of(u.base_url) for u in same} != {address}
    why_not = f"{variable} is sent to several addresses: set it where the server starts"
    return Lack(upstream.name, variable, address, held=False, why_not=why_not if several else None)


# Not there where several processes serve, or files are not followed.
HELD = web.AppKey("held", HeldKeys)
