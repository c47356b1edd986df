"""Signed requests: the string that is signed, and its HMAC. docs/signing.md has test vectors."""

import hashlib
import hmac
import re
from typing import NamedTuple

SCHEME = b"GW1-HMAC-SHA256"
CLIENT_ID, TIMESTAMP, NONCE, SIGNATURE = "X-Client-Id", "X-Timestamp", "X-Nonce", "X-Signature"
MAX_SKEW_SECONDS = 300
NONCE_SECONDS = 900

_CLIENT_ID = re.compile(rb"[A-Za-z0-9_-]{1,40}")
_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_NONCE = re.compile(rb"[A-Za-z0-9_-]{16,64}")
_SIGNATURE = re.compile(rb"[0-9a-f]{64}")


class SignatureHeaders(NamedTuple):
    """The four headers of a signed request, each of the right form."""

    client_id: bytes
    timestamp: bytes
    nonce: bytes
    signature: bytes

    @property
    def is_well_formed(self) -> bool:
        return bool(
            _CLIENT_ID.fullmatch(self.client_id)
            and _TIMESTAMP.fullmatch(self.timestamp)
            and _NONCE.fullmatch(self.nonce)
            and _SIGNATURE.fullmatch(self.signature)
        )


def canonical_request(
    headers: SignatureHeaders, method: bytes, raw_path: bytes, raw_query: bytes, body: bytes
) -> bytes:
    """What is signed. Nothing is decoded, sorted or left out.

    Args:
        raw_path: as sent, still percent-encoded, without the query.
        raw_query: as sent, without the `?`; empty if there is none.
    """
    body_hash = hashlib.sha256(body).hexdigest().encode()
    return b"\n".join(
        (
            SCHEME,
            headers.client_id,
            headers.timestamp,
            headers.nonce,
            method,
            raw_path,
            raw_query,
            body_hash,
        )
    )


def sign(secret: bytes, canonical: bytes) -> bytes:
    """64 lower-case hex digits."""
    return hmac.new(secret, canonical, hashlib.sha256).hexdigest().encode()


def is_signed_with(secret: bytes, canonical: bytes, signature: bytes) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(sign(secret, canonical), signature)
