"""Gateway keys: what clients show to be let in, kept as hashes in `keys.json` of the state folder.

    of_ <43 characters: 32 random bytes> <6 characters: checksum>        all base62, 52 characters in all

The checksum (CRC-32, as in GitHub's tokens) lets a scanner for leaked secrets tell a key from a random word. Kept is
the SHA-256 of the whole key: a slow hash such as scrypt protects guessable passwords, and 2^256 keys are guessed at no
speed, while a slow hash on every request would let anybody occupy the server. A key that is revoked stays in the file:
so the last one that goes does not open the server to everybody.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import string
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError

from openfusion_auto.config import private
from openfusion_auto.config.problems import dotted
from openfusion_auto.config.section import Section, Strings, listed
from openfusion_auto.core.limits import Limits, to_units
from openfusion_auto.errors import ConfigError

FILE = "keys.json"
PREFIX = "of_"
RANDOM_BYTES = 32
BODY_CHARS, CHECK_CHARS = 43, 6  # 62^43 > 2^256, 62^6 > 2^32
ALPHABET = string.digits + string.ascii_letters
# Of a key that are shown: the prefix and four of the random ones, 232 bits stay unknown.
HINT_CHARS = 7
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{BODY_CHARS + CHECK_CHARS}}}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_Money = Annotated[float | None, Field(gt=0, le=1e8)]
_Count = Annotated[int | None, Field(gt=0, le=10**9)]


class Key(Section):
    """One key as it is kept; the key itself is not in it. Moments are ISO 8601 in UTC, None = never."""

    id: str
    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    hint: str
    created: str
    expires: str | None = None
    revoked: str | None = None
    models: Strings = ()
    requests_per_minute: _Count = None
    tokens_per_minute: _Count = None
    concurrent: _Count = None
    max_usd_per_day: _Money = None
    max_usd_per_month: _Money = None

    def limits(self) -> Limits:
        """Return its limits as they are counted."""
        day, month = self.max_usd_per_day, self.max_usd_per_month
        return Limits(
            self.requests_per_minute,
            self.tokens_per_minute,
            self.concurrent,
            None if day is None else to_units(day),
            None if month is None else to_units(month),
        )

    def status(self, now_s: float) -> Literal["active", "expired", "revoked"]:
        """Return whether it opens the door now [s since 1970]."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and now_s >= seconds(self.expires):
            return "expired"
        return "active"


class _File(Section):
    version: Literal[1] = Field(alias="schema")
    keys: Annotated[tuple[Key, ...], BeforeValidator(listed)]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new key shall be; see `Key`."""

    name: str
    models: tuple[str, ...] = ()
    expires: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    max_usd_per_day: float | None = None
    max_usd_per_month: float | None = None


# -- the text of a key -----------------------------------------------------------------------------------------------


def new_key() -> str:
    """Return a fresh key."""
    body = base62(int.from_bytes(secrets.token_bytes(RANDOM_BYTES), "big"), BODY_CHARS)
    return PREFIX + body + checksum(PREFIX + body)


def is_key(text: str) -> bool:
    """Whether a text is a whole key of ours; says nothing about whether it opens anything."""
    return bool(_KEY.fullmatch(text)) and checksum(text[:-CHECK_CHARS]) == text[-CHECK_CHARS:]


def checksum(text: str) -> str:
    """Return the last characters of a key that begins with `text`."""
    return base62(zlib.crc32(text.encode()), CHECK_CHARS)


def base62(number: int, width: int) -> str:
    """Return a number in base 62 with leading zeros."""
    digits = []
    for _ in range(width):
        number, rest = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits))


def digest_of(key: str) -> bytes:
    """Return the hash by which a key is known; any text has one, lone surrogates too."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


# -- moments ---------------------------------------------------------------------------------------------------------


def moment(now_s: float) -> str:
    """Return a moment [s since 1970] as it is kept."""
    return datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(kept: str) -> float:
    """Return a kept moment in seconds since 1970. Raises `ValueError` when it is none."""
    at = datetime.fromisoformat(kept)
    if at.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return at.timestamp()


def end_of(text: str) -> str:
    """Return the moment up to which `text` counts: a date to its end in UTC, a moment with time zone as it is.

    Raises:
        ValueError: it is neither.
    """
    if _DAY.fullmatch(text):
        return moment((datetime.fromisoformat(text + "T00:00Z") + timedelta(days=1)).timestamp())
    return moment(seconds(text))


# -- the file --------------------------------------------------------------------------------------------------------


def path_in(state: Path) -> Path:
    """Return where the keys are in a state folder."""
    return state / FILE


def load_keys(path: Path) -> tuple[Key, ...]:
    """Return the keys at `path`, revoked ones too; () when there is no file.

    Raises:
        ConfigError: it cannot be read, is no file of keys, or can be written by others than its owner.
    """
    raw = private.read(path)
    if raw is None:
        return ()
    try:
        keys = _File.model_validate(json.loads(raw)).keys
        for key in keys:
            for kept in (key.expires, key.revoked):
                if kept is not None:
                    seconds(kept)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first(error)}") from None  # the cause would show the values
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: is no file of keys of this version") from None
    return keys


def _first(error: ValidationError) -> str:
    """Return the first problem, its place and what is wrong, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{dotted(first['loc'])}: {first['msg']}"


def save_keys(path: Path, keys: Iterable[Key]) -> None:
    """Write the keys. Raises `ConfigError` when that cannot be done."""
    rows = [k.model_dump(mode="json", exclude_defaults=True) for k in keys]
    private.write(path, json.dumps({"schema": 1, "keys": rows}, indent=1).encode() + b"\n")


def edit(path: Path, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    """Read, change and write the keys with nobody between. The folder is there."""
    with private.locked(path):
        save_keys(path, change(load_keys(path)))


def create(path: Path, wish: Wish, now_s: float) -> tuple[Key, str]:
    """Make a key and keep its hash; returns what is kept, and the key itself: it is never to be had again.

    Raises:
        ConfigError: the name is taken or none, a limit is out of its range, the file cannot be written.
    """
    if not _NAME.fullmatch(wish.name):
        raise ConfigError(
            "the name of a key is letters, digits, '.', '_', '@' or '-', 64 at most, first a letter or digit"
        )
    text = new_key()
    try:
        made = Key(
            id="key_" + secrets.token_hex(5),
            sha256=digest_of(text).hex(),
            hint=text[:HINT_CHARS],
            created=moment(now_s),
            **asdict(wish),
        )
    except ValidationError as error:
        raise ConfigError(f"the key {wish.name!r}: {_first(error)}") from None

    def with_it(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(k.name == wish.name and k.status(now_s) == "active" for k in keys):
            raise ConfigError(
                f"there is a key {wish.name!r} already: revoke it first, or take another name"
            )
        return (*keys, made)

    edit(path, with_it)
    return made, text


def revoke(path: Path, name_or_id: str, now_s: float) -> Key:
    """Revoke the key of that id, or the one of that name that is not revoked yet; returns it.

    Raises:
        ConfigError: there is none, or the file cannot be written.
    """
    gone: list[Key] = []

    def without_it(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        open_ = [k for k in keys if k.revoked is None]
        found = [k for k in open_ if k.id == name_or_id] or [
            k for k in open_ if k.name == name_or_id
        ]
        if not found:
            raise ConfigError(
                f"there is no key {name_or_id[:80]!r} to revoke; `openfusion keys list`"
            )
        gone.extend(k.model_copy(update={"revoked": moment(now_s)}) for k in found)
        by_id = {k.id: k for k in gone}
        return tuple(by_id.get(k.id, k) for k in keys)

    edit(path, without_it)
    return gone[-1]
