"""Encrypted configuration values: `ENC(v1.<kid>.<base64url>)`, AES-256-GCM.

The 96-bit nonce stands before the ciphertext, the key's own name is the associated data, and the
`kid` is the first 8 hex digits of SHA-256 of the AES key (NIST SP 800-38D for the mode).
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Self

_ENC = re.compile(r"ENC\(v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+)\)", re.ASCII)
_NONCE_BYTES = 12
KEY_BYTES = 32


class SecretError(ValueError):
    """A secret that cannot be used. Its text never holds a piece of the secret."""


def is_encrypted(value: str) -> bool:
    """Whether a value claims to be encrypted; one that is cut short claims it still."""
    return value.startswith("ENC(")


def parse_key(text: str) -> bytes:
    """An AES key from its urlsafe base64, with or without padding.

    Raises:
        SecretError: it is not 32 bytes of base64.
    """
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SecretError("not urlsafe base64") from None
    if len(key) != KEY_BYTES:
        raise SecretError(f"{len(key)} bytes where {KEY_BYTES} are needed")
    return key


def generate_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def generate_jwt_secret() -> str:
    """Long enough for every algorithm that is offered."""
    return secrets.token_urlsafe(64)


def key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _from_base64(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64(data) != text:
        raise ValueError("the spare bits of the last digit are not zero")
    return data


class Keyring:
    """The AES keys at hand: the first one encrypts, all of them decrypt."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._newest = keys[0] if keys else None

    @classmethod
    def parse(cls, newest: str, previous: Iterable[str] = ()) -> Self:
        """A keyring of urlsafe base64 keys.

        Raises:
            SecretError: one of them is no key.
        """
        return cls([parse_key(text) for text in (newest, *previous)])

    @property
    def kid(self) -> str:
        """The `kid` that new values are encrypted under."""
        return key_id(self._require_newest())

    def encrypt(self, value: str, name: str) -> str:
        """The ENC form of a value, bound to `name`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - slow

        key = self._require_newest()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, value.encode(), name.encode())
        return f"ENC(v1.{key_id(key)}.{_base64(sealed)})"

    def decrypt(self, value: str, name: str) -> str:
        """The value behind an ENC form.

        Raises:
            SecretError: it is malformed, under an unknown key, cut short, or another name's.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - slow, and rarely needed
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        match = _ENC.fullmatch(value)
        if match is None:
            raise SecretError("malformed: ENC(v1.<kid>.<base64url>) is expected, is it cut short?")
        kid, text = match.groups()
        key = self._keys.get(kid)
        if key is None:
            known = ", ".join(self._keys) or "none"
            raise SecretError(f"encrypted under key {kid}, but the keys at hand are: {known}")
        try:
            sealed = _from_base64(text)
            nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            plain = AESGCM(key).decrypt(nonce, ciphertext, name.encode())
        except (InvalidTag, ValueError):  # a nonce or a text too short is a ValueError
            raise SecretError(
                f"cannot be decrypted with AES_SECRET (kid {kid}): "
                "damaged, cut short, or encrypted for another key's name"
            ) from None
        return plain.decode()

    def tags(self, data: bytes, name: str) -> list[str]:
        """HMAC-SHA256 of `data` for the purpose `name` under each key, the newest first.

        To recognize what may hold a secret: unlike a bare hash, nobody without the keys can try
        guesses against it.
        """
        subkeys = (hmac.digest(key, name.encode(), "sha256") for key in self._keys.values())
        return [hmac.new(subkey, data, "sha256").hexdigest() for subkey in subkeys]

    def _require_newest(self) -> bytes:
        if self._newest is None:
            raise SecretError("AES_SECRET is not set")
        return self._newest
