"""Ed25519 signatures of receipts (RFC 8032), by the extra `sign`. Signed is the digest, which covers all the rest."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openfusion_auto.config import private
from openfusion_auto.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM = "ed25519"
DOMAIN = b"openfusion receipt 1\n"  # so that a signature means nothing anywhere else
MISSING = "signatures need the extra `sign`: pip install 'openfusion-auto[sign]'"


def create_key(path: Path) -> str:
    """Write a new private key (PEM, mode 0600) and return the public one.

    Raises:
        ConfigError: there is a file already, it cannot be written, or the extra is missing.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )
    except ImportError:
        raise ConfigError(MISSING) from None
    if path.exists():
        raise ConfigError(f"{path}: there is a file already; a key is never written over")
    key = Ed25519PrivateKey.generate()
    private.write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_of(key)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return a private key from its PEM file.

    Raises:
        ConfigError: not there, no Ed25519 key, or the extra is missing.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise ConfigError(MISSING) from None
    data = private.read(path)
    if data is None:
        raise ConfigError(f"{path}: there is no key; make one with openfusion receipt key {path}")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        raise ConfigError(f"{path}: is not a private key in PEM form without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: is not an Ed25519 key")
    return key


def public_of(key: Ed25519PrivateKey) -> str:
    """Return the public key, base64."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii")


def signed(document: Mapping[str, object], key: Ed25519PrivateKey) -> dict[str, object]:
    """Return a receipt with a signature of its digest."""
    value = key.sign(message(document))
    signature = {
        "algorithm": ALGORITHM,
        "public_key": public_of(key),
        "value": base64.b64encode(value).decode("ascii"),
    }
    return {**document, "signature": signature}


def message(document: Mapping[str, object]) -> bytes:
    """Return what is signed."""
    return DOMAIN + str(document.get("digest")).encode("ascii", "replace")


def problem(document: Mapping[str, Any], trusted: str | None) -> str | None:
    """Return what is wrong with a receipt's signature; None when it is right, or there is none and none is asked for.

    Args:
        document: The receipt.
        trusted: The public key that must have signed it, base64; None: whoever it says.
    """
    signature = document.get("signature")
    if signature is None:
        return "is not signed" if trusted is not None else None
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return MISSING
    try:
        if signature["algorithm"] != ALGORITHM:
            return "is of another kind than ed25519"
        public = base64.b64decode(signature["public_key"], validate=True)
        value = base64.b64decode(signature["value"], validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(value, message(document))
    except InvalidSignature:
        return "does not fit the digest"
    except (KeyError, TypeError, ValueError, binascii.Error):
        return "cannot be read"
    if trusted is not None and signature["public_key"] != trusted.strip():
        return "is right, but by another key than the one that is trusted"
    return None
