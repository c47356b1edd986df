"""Secrets that are recognized wherever they come out: whole or in pieces, plain or encoded."""

import base64
import re
import secrets

from internal.config.secrets import generate_jwt_secret, generate_key

PIECE = 10  # so many characters of a secret in a row are no chance
STRIDE = 4


class Canaries:
    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def plant(self, name: str, secret: str = "") -> str:
        """Remembers a secret, by default a new random one of 256 bits."""
        self.planted[name] = secret or secrets.token_urlsafe(32)
        return self.planted[name]

    def settings(self) -> dict[str, str]:
        """Of every secret of the configuration, one."""
        return {
            "AES_SECRET": self.plant("AES_SECRET", generate_key()),
            "JWT_SECRET": self.plant("JWT_SECRET", generate_jwt_secret()),
            "JWT_SECRET_PREVIOUS": self.plant("JWT_SECRET_PREVIOUS", generate_jwt_secret()),
            "DB_PASSWORD": self.plant("DB_PASSWORD"),
            "REDIS_PASSWORD": self.plant("REDIS_PASSWORD"),
            "CELERY_BROKER_URL": f"amqp://celery:{self.plant('CELERY_BROKER_URL')}@broker:5672/",
        }

    def found_in(self, output: bytes | str) -> list[str]:
        """The names of those whose pieces are in the output."""
        text = output.encode() if isinstance(output, str) else output
        return [
            name
            for name, secret in self.planted.items()
            if any(piece in text for piece in _pieces(secret.encode()))
        ]


def _pieces(secret: bytes) -> set[bytes]:
    whole = {secret.hex().encode(), re.sub(rb"=+$", b"", base64.b64encode(secret))[:-1]}
    starts = range(0, max(1, len(secret) - PIECE + 1), STRIDE)
    return whole | {secret[start : start + PIECE] for start in starts}
