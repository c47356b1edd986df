"""PyMySQL leaves the library for key pairs alone until it has a password to encrypt."""

import subprocess
import sys

IS_LOADED = "'cryptography.hazmat.bindings._rust' in sys.modules"

LOAD = """
import sys
from internal.infra.pymysql_auth import load_pymysql
load_pymysql()
load_pymysql()
import aiomysql, pymysql
"""

ENCRYPT = """
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pymysql import _auth
key = rsa.generate_private_key(65537, 2048)
public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
padded = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)
for _ in range(2):
    print(key.decrypt(_auth.sha2_rsa_encrypt(b"secret", bytes(20), public), padded))
"""


def test_loading_it_and_its_async_twin_loads_no_library_for_key_pairs() -> None:
    assert said(LOAD, f"print({IS_LOADED})") == ["False"]


def test_a_password_that_is_to_be_encrypted_is() -> None:
    assert said(LOAD, ENCRYPT) == ["b'secret\\x00'"] * 2


def test_a_pymysql_that_is_loaded_already_stays_as_it_is() -> None:
    before = "import pymysql\nencrypt = pymysql.connections._auth.sha2_rsa_encrypt"
    after = "print(pymysql.connections._auth.sha2_rsa_encrypt is encrypt)"
    assert said(before, LOAD, after) == ["True"]


def said(*program: str) -> list[str]:
    """What a new interpreter prints: in this one everything is loaded."""
    command = [sys.executable, "-c", "\n".join(program)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
