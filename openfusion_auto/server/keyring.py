"""Who may come in: the keys of `keys.json` and of OPENFUSION_API_KEYS, as they are now."""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

from openfusion_auto.config.keyfile import Key, digest_of, is_key, load_keys, seconds
from openfusion_auto.config.paths import Stamp, stamp
from openfusion_auto.errors import ConfigError, NotAuthorized
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import Client

log = logging.getLogger("openfusion.server")

OPERATOR = "OPENFUSION_API_KEYS"
PASS_S = 12 * 3600  # [s] that a sign-in on the page lasts
CHALLENGE = {"WWW-Authenticate": "Bearer"}  # RFC 9110 15.5.2 asks for one with every 401


class Known(NamedTuple):
    """One key: its hash, until when it opens [s since 1970], and whose it is."""

    digest: bytes
    until_s: float
    client: Client


def client_of(key: Key) -> Client:
    """Return a gateway key as the one who asks."""
    return Client("key:" + key.id, key.name, key.limits(), key.models, key.expires, own=True)


def known_of(operator: Sequence[str]) -> tuple[Known, ...]:
    """Return the operator's keys as what opens the door."""
    digests = [digest_of(k) for k in operator]
    return tuple(Known(d, inf, Client(f"key:env-{d.hex()[:8]}", OPERATOR)) for d in digests)


class Keyring:
    """The keys that open the door.

    Args:
        path: The file of keys; it need not be there, and what it says later counts from then on.
        operator: Keys of the environment: without limits, and they see everything.
        clock: By which keys expire.
        required: Ask for a key even when there is none yet: the server can be reached from elsewhere.
        secret: What passes are sealed with; several processes that serve one address share one. None = a fresh one.

    Attributes:
        required: Whether a key is asked for. Once true it stays true: neither a revoked key nor a deleted file opens
            the server to everybody.
    """

    def __init__(
        self,
        path: Path,
        operator: Sequence[str],
        clock: Clock,
        *,
        required: bool,
        secret: bytes | None = None,
    ) -> None:
        self._path = path
        self._secret = secret or secrets.token_bytes(32)
        self._clock = clock
        self._operator = known_of(operator)
        self._made: tuple[Known, ...] = ()
        self._stamp: Stamp = None
        self.required = required or bool(operator)
        self._load(stamp(self._path))

    def _load(self, found: Stamp) -> None:
        """Read the file. Raises `ConfigError`; then all stays as it was."""
        keys = load_keys(self._path)
        self._stamp = found
        self.required = self.required or bool(keys)
        self._made = tuple(
            Known(
                bytes.fromhex(k.sha256),
                inf if k.expires is None else seconds(k.expires),
                client_of(k),
            )
            for k in keys
            if k.revoked is None
        )

    def refresh(self) -> None:
        """Read the file again when it is another one; one that cannot be used changes nothing, and the log says why."""
        found = stamp(self._path)
        if found == self._stamp:
            return
        try:
            self._load(found)
        except ConfigError as error:
            self._stamp = found  # said once
            log.error("the keys stay as they were: %s", error.message)  # noqa: TRY400 - the message is all of it
            return
        log.warning("keys read again: %d open the door", len(self._known))

    @property
    def has_budget(self) -> bool:
        """Whether some key has a budget."""
        return any(k.client.limits.has_budget for k in self._known)

    def take(self, operator: Sequence[str]) -> None:
        """Go by other keys of the operator's from now on."""
        self._operator = known_of(operator)
        self.required = self.required or bool(operator)

    @property
    def _known(self) -> tuple[Known, ...]:
        return self._operator + self._made

    def opens(self) -> bool:
        """Whether some key opens the door now."""
        now_s = self._clock.wall()
        return any(now_s < k.until_s for k in self._known)

    def find(self, shown: str) -> Client:
        """Return whose key was shown. All keys are compared, as bytes of their hashes, in constant time.

        Raises:
            NotAuthorized: none, a wrong one, or one that has expired.
        """
        digest, found = digest_of(shown), None
        for known in self._known:
            if hmac.compare_digest(known.digest, digest):
                found = known
        if found is not None and self._clock.wall() < found.until_s:
            return found.client
        raise self._refused(shown, found)

    def pass_for(self, shown: str) -> str:
        """Return a pass for whose key was shown: it opens the page in the key's place, for `PASS_S` at most.

        Nothing is kept of it: it is a seal over its end, made of the key's hash and this server's secret. It ends with
        the key, and with the server.

        Raises:
            NotAuthorized: as `find`.
        """
        self.find(shown)
        until = str(int(self._clock.wall() + PASS_S))
        return f"{until}.{self._seal(until, digest_of(shown))}"

    def find_pass(self, shown: str) -> Client:
        """Return whose pass was shown; raises as `find`."""
        until, _, seal = shown.partition(".")
        seal_bytes = seal.encode("utf-8", "surrogateescape")
        now_s, found = self._clock.wall(), None
        for known in self._known:
            if hmac.compare_digest(self._seal(until, known.digest).encode(), seal_bytes):
                found = known
        if found is not None and now_s < min(found.until_s, int(until)):
            return found.client
        raise self._refused("", None)

    def _seal(self, until: str, digest: bytes) -> str:
        said = until.encode("utf-8", "surrogateescape") + b"." + digest
        return hmac.new(self._secret, said, "sha256").hexdigest()

    def _refused(self, shown: str, found: Known | None) -> NotAuthorized:
        if found is not None:
            said = f"This API key expired at {found.client.expires}."
        elif not shown:
            said = "No API key was provided: send one as Bearer token, or in x-api-key."
        elif shown.startswith("of_") and not is_key(shown):
            said = "Incorrect API key provided: it is not whole (its checksum is wrong)."
        else:
            said = "Incorrect API key provided."
        error = NotAuthorized(f"{said} Whoever runs this router hands keys out.")
        error.headers = CHALLENGE
        return error
