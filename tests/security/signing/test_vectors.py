"""The test vectors that docs/signing.md gives to other languages."""

import json

import pytest

from internal.core.signature import (
    SignatureHeaders,
    canonical_request,
    is_signed_with,
    sign,
)
from tests.security.signing.page import fenced

type Vector = dict[str, str]

VECTORS: list[Vector] = json.loads(fenced("json"))
by_name = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


def body_of(vector: Vector) -> bytes:
    return bytes.fromhex(vector["body_hex"]) if "body_hex" in vector else vector["body"].encode()


def headers_of(vector: Vector) -> SignatureHeaders:
    names = ("client_id", "timestamp", "nonce", "signature")
    return SignatureHeaders(*(vector[name].encode() for name in names))


@by_name
def test_the_canonical_string_is_the_pages(vector: Vector) -> None:
    method, path, query = (vector[name].encode() for name in ("method", "path", "query"))
    canonical = canonical_request(headers_of(vector), method, path, query, body_of(vector))
    assert canonical == vector["canonical"].encode()


@by_name
def test_the_signature_is_the_pages(vector: Vector) -> None:
    secret, canonical = vector["secret"].encode(), vector["canonical"].encode()
    assert sign(secret, canonical) == vector["signature"].encode()
    assert is_signed_with(secret, canonical, vector["signature"].encode())
    assert not is_signed_with(secret + b"x", canonical, vector["signature"].encode())


@by_name
def test_the_headers_of_a_vector_are_well_formed(vector: Vector) -> None:
    assert headers_of(vector).is_well_formed


def test_the_vectors_cover_the_spellings_that_implementations_get_wrong() -> None:
    assert any(not vector["query"] and not body_of(vector) for vector in VECTORS)
    assert any("%2F" in vector["path"] for vector in VECTORS)
    assert any("+" in vector["query"] and "%20" in vector["query"] for vector in VECTORS)
    assert any(not body_of(vector).isascii() and "body" in vector for vector in VECTORS)
    assert any(b"\0" in body_of(vector) for vector in VECTORS)
    assert {len(vector["nonce"]) for vector in VECTORS} >= {16, 64}
    queries = [tuple(sorted(vector["query"].split("&"))) for vector in VECTORS if vector["query"]]
    assert len(set(queries)) < len(queries)  # one query is there in two orders


def test_no_two_vectors_have_one_signature() -> None:
    assert len({vector["signature"] for vector in VECTORS}) == len(VECTORS)
