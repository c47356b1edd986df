"""Access tokens: JWTs (RFC 7519) of one algorithm, with a key id for rotation (RFC 8725)."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from internal.core.caller import Role

LEEWAY_SECONDS = 5  # clocks of replicas differ by that much at most
MAX_CHARACTERS = 4096  # ours have some 300; decoding what anybody sends takes time
REMEMBERED_TOKENS = 4096
_REQUIRED = ["exp", "iat", "iss", "aud", "sub", "sid", "ver", "jti", "role"]


class InvalidToken(Exception):
    """Not a token of ours that is valid now. Says no more: the caller gets a plain 401."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Whose token it is. `version` is the user's token version when it was issued."""

    user_id: int
    session_id: int
    version: int
    role: Role


def key_name(secret: str) -> str:
    """The `kid` of a secret: the first 8 hex digits of its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


class TokenSigner:
    """Issues tokens under the newest secret, and verifies those of every secret at hand.

    Args:
        signing_keys: newest first.
        algorithm: the only one that is accepted.
        lifetime: of an access token.
    """

    def __init__(
        self,
        signing_keys: Sequence[str],
        *,
        algorithm: str,
        issuer: str,
        audience: str,
        lifetime: timedelta,
    ) -> None:
        self._keys = {key_name(key): key.encode() for key in signing_keys}
        self._newest = key_name(signing_keys[0])
        self._algorithm = algorithm
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        # A client sends one token many times, and PyJWT takes longer for it than a whole request.
        self._remembered = lru_cache(maxsize=REMEMBERED_TOKENS)(self._verified)

    def issue(self, claims: AccessClaims, now: datetime) -> str:
        payload = {
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "ver": claims.version,
            "role": claims.role,
            "jti": secrets.token_urlsafe(12),
            "iat": now,
            "exp": now + self.lifetime,
            "iss": self._issuer,
            "aud": self._audience,
        }
        import jwt  # noqa: PLC0415 - and what comes with it: as much as a tenth of a start

        return jwt.encode(
            payload,
            self._keys[self._newest],
            algorithm=self._algorithm,
            headers={"kid": self._newest},
        )

    def verify(self, token: str) -> AccessClaims:
        """The claims of a token that is ours and valid now.

        Raises:
            InvalidToken: it is not.
        """
        claims, expires_at = self._remembered(token)
        if time.time() >= expires_at + LEEWAY_SECONDS:
            raise InvalidToken
        return claims

    def _verified(self, token: str) -> tuple[AccessClaims, float]:
        """The claims, and when they expire. Raises InvalidToken; that is not remembered."""
        import jwt  # noqa: PLC0415 - see above

        if len(token) > MAX_CHARACTERS or "=" in token:  # padded: another spelling of a token
            raise InvalidToken
        try:
            kid = jwt.get_unverified_header(token)["kid"]
            payload: dict[str, Any] = jwt.decode(
                token,
                self._keys[kid],
                algorithms=[self._algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
            user_id, session_id = int(payload["sub"]), int(payload["sid"])
            claims = AccessClaims(user_id, session_id, payload["ver"], Role(payload["role"]))
        except (jwt.InvalidTokenError, ValueError, TypeError, KeyError):
            raise InvalidToken from None
        return claims, payload["exp"]
