"""What a password is, before it is hashed."""

import base64
import hashlib
import unicodedata

MIN_CHARACTERS = 12
MAX_CHARACTERS = 1024
_MOST_PARTS = 4  # of a character, taken apart (UAX #15)
_DOMAIN = b"groundwork-pw-v1\0"


class UnacceptablePassword(ValueError):
    """Too short or too long. Its text says so without the password."""

    def __init__(self) -> None:
        super().__init__(f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")


def compose(password: str) -> str:
    """The password in Unicode's composed form (NFC), so that every keyboard types the same.

    Raises:
        UnacceptablePassword: it has more than 1,024 characters.
    """
    # Composing takes time that grows with the square of the length: minutes for a megabyte.
    if len(password) <= _MOST_PARTS * MAX_CHARACTERS:
        composed = unicodedata.normalize("NFC", password)
        if len(composed) <= MAX_CHARACTERS:
            return composed
    raise UnacceptablePassword


def check_password(password: str) -> str:
    """The composed form of a password that is to be set.

    Raises:
        UnacceptablePassword: it has not 12 to 1,024 characters (NIST SP 800-63B-4 §3.1.1).
    """
    composed = compose(password)
    if len(composed) < MIN_CHARACTERS:
        raise UnacceptablePassword
    return composed


def bcrypt_input(password: str) -> bytes:
    """44 bytes without a NUL: bcrypt reads at most 72 and older ones stop at a NUL."""
    composed = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.sha256(_DOMAIN + composed).digest())
