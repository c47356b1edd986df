"""PyMySQL without the library for key pairs, until a password is encrypted with one."""

import importlib
import sys

# What it asks for first, to learn whether the library is there.
_PROBED = "cryptography.hazmat.backends"


def load_pymysql() -> None:
    """Call it before anything else loads PyMySQL; afterwards it does nothing.

    MySQL's caching_sha2_password encrypts a password with the server's public key where there is
    no TLS and the server does not remember it. Everybody else would load 7 MB for nothing, for a
    twentieth of a start.
    """
    if "pymysql" in sys.modules or _PROBED in sys.modules:
        return
    sys.modules[_PROBED] = None  # type: ignore[assignment] # Python's "not there"
    try:
        from pymysql import _auth  # noqa: PLC0415 - see above
    finally:
        del sys.modules[_PROBED]

    def encrypt(password: bytes, salt: bytes, public_key: bytes) -> bytes:
        importlib.reload(_auth)  # puts PyMySQL's own function in the place of this one
        encrypted: bytes = _auth.sha2_rsa_encrypt(password, salt, public_key)
        return encrypted

    _auth.sha2_rsa_encrypt = encrypt
