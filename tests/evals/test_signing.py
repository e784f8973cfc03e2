"""Keys are private and never written over; a signature says who, and only with the extra."""

from __future__ import annotations

import json
import os
import sys

import pytest

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals import signing
from tests.evals import samples

DOCUMENT = json.loads((samples.FOLDER / "single.json").read_bytes())


def test_a_new_key_signs_and_its_public_half_is_told(tmp_path):
    path = tmp_path / "keys" / "own.pem"
    public = signing.create_key(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    signed = signing.signed(DOCUMENT, signing.load_key(path))
    assert signed["signature"]["public_key"] == public
    assert signing.problem(signed, public) is None
    assert signing.problem({**signed, "digest": "sha256:0"}, None) == "does not fit the digest"
    with pytest.raises(ConfigError, match="never written over"):
        signing.create_key(path)


@pytest.mark.parametrize(
    ("data", "says"), [(None, "there is no key"), (b"nonsense", "not a private key in PEM form")]
)
def test_what_is_no_key_is_said(tmp_path, data, says):
    path = tmp_path / "own.pem"
    if data is not None:
        path.write_bytes(data)
        path.chmod(0o600)
    with pytest.raises(ConfigError, match=says):
        signing.load_key(path)


def test_a_key_of_another_kind_is_refused(tmp_path):
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path = tmp_path / "own.pem"
    key = X25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        signing.load_key(path)


@pytest.mark.parametrize(
    "signature",
    [{}, [], "x", {"algorithm": "rsa"}, {"algorithm": "ed25519", "public_key": "!", "value": ""},
     {"algorithm": "ed25519", "public_key": "AAAA", "value": "AAAA"}],
)  # fmt: skip
def test_a_signature_of_any_shape_is_judged(signature):
    found = signing.problem({**DOCUMENT, "signature": signature}, None)
    assert found in ("cannot be read", "is of another kind than ed25519")


def test_without_the_extra_it_is_said_what_to_install(monkeypatch, tmp_path):
    signed = samples.signed()
    for name in list(sys.modules):
        if name.startswith("cryptography"):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert "pip install" in signing.problem(signed, None)
    assert signing.problem(DOCUMENT, None) is None
    for call in (signing.create_key, signing.load_key):
        with pytest.raises(ConfigError, match=r"openfusion-auto\[sign\]"):
            call(tmp_path / "x.pem")
