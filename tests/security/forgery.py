"""Tokens that no library would make, put together by hand."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

from internal.core.tokens import key_name

DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(content: object) -> str:
    """A header or a payload: JSON, or the bytes as they are."""
    return base64url(content if isinstance(content, bytes) else json.dumps(content).encode())


def claims(**changes: object) -> dict[str, object]:
    """Those of a valid token; None leaves one out."""
    now = int(time.time())
    valid: dict[str, object] = {
        "sub": "1",
        "sid": "2",
        "ver": 3,
        "role": "user",
        "jti": "unique",
        "iat": now,
        "exp": now + 600,
        "iss": "groundwork",
        "aud": "groundwork",
    }
    return {name: value for name, value in {**valid, **changes}.items() if value is not None}


def header(secret: str, **changes: object) -> dict[str, object]:
    """That of a valid token; None leaves a member out."""
    valid: dict[str, object] = {"alg": "HS256", "typ": "JWT", "kid": key_name(secret)}
    return {name: value for name, value in {**valid, **changes}.items() if value is not None}


def signed(head: object, body: object, key: str | bytes, algorithm: str = "HS256") -> str:
    signing_input = f"{part(head)}.{part(body)}"
    secret = key.encode() if isinstance(key, str) else key
    digest = hmac.new(secret, signing_input.encode(), getattr(hashlib, DIGESTS[algorithm])).digest()
    return f"{signing_input}.{base64url(digest)}"


def unsigned(head: Mapping[str, object], body: object, signature: str = "") -> str:
    return f"{part(head)}.{part(body)}.{signature}"
