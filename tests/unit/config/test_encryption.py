"""ENC(v1.<kid>.<base64url>): what opens, and that nothing else does."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.config.secrets import (
    KEY_BYTES,
    Keyring,
    SecretError,
    generate_jwt_secret,
    generate_key,
    is_encrypted,
    key_id,
    parse_key,
)

KEY = generate_key()
OTHER = generate_key()
RING = Keyring.parse(KEY)

# Any text but lone surrogates, which no encoding carries.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT)
def test_any_text_under_any_name_encrypts_and_opens(value: str, name: str) -> None:
    assert RING.decrypt(RING.encrypt(value, name), name) == value


@given(TEXT)
def test_the_form_is_the_contracts(value: str) -> None:
    sealed = RING.encrypt(value, "DB_PASSWORD")
    match = re.fullmatch(r"ENC\(v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+)\)", sealed)
    assert match is not None
    assert match[1] == hashlib.sha256(parse_key(KEY)).hexdigest()[:8]
    raw = base64.urlsafe_b64decode(match[2] + "==")
    assert len(raw) == 12 + len(value.encode()) + 16
    assert is_encrypted(sealed)


@given(st.data())
def test_any_change_of_a_single_byte_does_not_open(data: st.DataObject) -> None:
    sealed = RING.encrypt(data.draw(TEXT), "DB_PASSWORD")
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda char: char != sealed[place]))
    changed = sealed[:place] + other + sealed[place + 1 :]
    with pytest.raises(SecretError):
        RING.decrypt(changed, "DB_PASSWORD")


def test_every_other_last_digit_does_not_open() -> None:
    """The last digit of base64 has bits that decoders ignore."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
    for length in range(3):
        sealed = RING.encrypt("x" * length, "DB_PASSWORD")
        for digit in digits.replace(sealed[-2], ""):
            with pytest.raises(SecretError):
                RING.decrypt(f"{sealed[:-2]}{digit})", "DB_PASSWORD")


def test_cut_short_at_every_length_it_does_not_open() -> None:
    sealed = RING.encrypt("a secret of some length", "DB_PASSWORD")
    for length in range(len(sealed)):
        for cut in (sealed[:length], sealed[: max(length - 1, 0)] + ")"):
            with pytest.raises(SecretError):
                RING.decrypt(cut, "DB_PASSWORD")


def test_moved_to_another_key_it_does_not_open() -> None:
    sealed = RING.encrypt("hunter2", "DB_PASSWORD")
    with pytest.raises(SecretError, match="encrypted for another key's name"):
        RING.decrypt(sealed, "REDIS_PASSWORD")


def test_under_a_wrong_key_it_does_not_open_and_both_kids_are_named() -> None:
    sealed = RING.encrypt("hunter2", "DB_PASSWORD")
    kid, others = RING.kid, Keyring.parse(OTHER).kid
    expected = f"encrypted under key {kid}, but the keys at hand are: {others}"
    with pytest.raises(SecretError, match=expected):
        Keyring.parse(OTHER).decrypt(sealed, "DB_PASSWORD")


def test_under_a_key_whose_kid_was_forged_it_does_not_open() -> None:
    sealed = RING.encrypt("hunter2", "DB_PASSWORD")
    ring = Keyring.parse(OTHER)
    with pytest.raises(SecretError, match=re.escape(f"AES_SECRET (kid {ring.kid})")):
        ring.decrypt(sealed.replace(RING.kid, ring.kid), "DB_PASSWORD")


def test_a_previous_key_still_opens_and_the_newest_encrypts() -> None:
    sealed = RING.encrypt("hunter2", "DB_PASSWORD")
    rotated = Keyring.parse(OTHER, [KEY])
    assert rotated.decrypt(sealed, "DB_PASSWORD") == "hunter2"
    assert rotated.encrypt("x", "DB_PASSWORD").startswith(f"ENC(v1.{key_id(parse_key(OTHER))}.")


def test_the_same_value_never_looks_the_same_twice() -> None:
    assert len({RING.encrypt("hunter2", "DB_PASSWORD") for _ in range(1000)}) == 1000


def test_an_empty_ring_encrypts_nothing_and_opens_nothing() -> None:
    sealed = RING.encrypt("hunter2", "DB_PASSWORD")
    with pytest.raises(SecretError, match="AES_SECRET is not set"):
        Keyring([]).encrypt("hunter2", "DB_PASSWORD")
    with pytest.raises(SecretError, match="AES_SECRET is not set"):
        _ = Keyring([]).kid
    with pytest.raises(SecretError, match="the keys at hand are: none"):
        Keyring([]).decrypt(sealed, "DB_PASSWORD")


@given(TEXT)
def test_no_text_that_claims_to_be_encrypted_makes_it_crash(text: str) -> None:
    for claim in (text, f"ENC({text})", f"ENC(v1.{RING.kid}.{text})"):
        with pytest.raises(SecretError) as caught:
            RING.decrypt(claim, "DB_PASSWORD")
        assert len(text) < 9 or text not in str(caught.value)


@pytest.mark.parametrize("padded", [True, False])
def test_a_key_is_32_bytes_of_urlsafe_base64_with_or_without_padding(padded: bool) -> None:
    raw = bytes(range(224, 256))
    text = base64.urlsafe_b64encode(raw).decode()
    assert "-" in text
    assert "_" in text
    assert parse_key(text if padded else text.rstrip("=")) == raw


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "0 bytes where 32 are needed"),
        (KEY[:43][:-4], "29 bytes"),
        (base64.urlsafe_b64encode(bytes(33)).decode(), "33 bytes"),
        (f"{KEY} ", "not urlsafe base64"),
        ("\N{KELVIN SIGN}" * 43, "not urlsafe base64"),
        ("A", "not urlsafe base64"),
    ],
    ids=range(6),
)
def test_anything_else_is_no_key(text: str, what: str) -> None:
    with pytest.raises(SecretError, match=what):
        parse_key(text)


def test_generated_secrets_are_fresh_and_long_enough() -> None:
    assert len({generate_key() for _ in range(100)}) == 100
    assert len(parse_key(generate_key())) == KEY_BYTES
    assert len({generate_jwt_secret() for _ in range(100)}) == 100
    assert len(generate_jwt_secret().encode()) >= 64
