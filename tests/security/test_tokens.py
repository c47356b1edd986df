"""What is no token of ours, or not any more, opens nothing."""

import string
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from internal.core.caller import Role
from internal.core.clock import utc_now
from internal.core.tokens import AccessClaims, InvalidToken, TokenSigner, key_name
from tests.security.forgery import base64url, claims, header, part, signed, unsigned

SECRET = "the secret of this service, long enough for every algorithm: 64 bytes"
OTHER = "another secret, which this service has never had, and just as long..."
OURS = AccessClaims(user_id=1, session_id=2, version=3, role=Role.USER)
ALGORITHMS = ("HS256", "HS384", "HS512")
BASE64URL = string.ascii_letters + string.digits + "-_"


def signer(*secrets: str, algorithm: str = "HS256") -> TokenSigner:
    return TokenSigner(
        secrets or [SECRET],
        algorithm=algorithm,
        issuer="groundwork",
        audience="groundwork",
        lifetime=timedelta(days=1),
    )


def is_refused(token: str, by: TokenSigner | None = None) -> bool:
    try:
        (by or signer()).verify(token)
    except InvalidToken:
        return True
    return False


def now(seconds: float = 0) -> int:
    return int(time.time() + seconds)


VALID = signer().issue(OURS, utc_now())


def test_a_token_is_believed_and_so_is_one_that_is_forged_with_the_secret() -> None:
    """What every refusal below is compared with: the forger knows how."""
    assert signer().verify(VALID) == OURS
    assert signer().verify(signed(header(SECRET), claims(), SECRET)) == OURS


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", 0, False, [], {}])
def test_a_token_without_a_signature_is_refused(algorithm: object) -> None:
    head = header(SECRET) | {"alg": algorithm}
    signature = VALID.rpartition(".")[2]
    assert is_refused(unsigned(head, claims()))
    assert is_refused(unsigned(head, claims(), signature))
    assert is_refused(unsigned(head, claims()).rstrip("."))
    assert is_refused(signed(head, claims(), SECRET))
    assert is_refused(signed(head, claims(), b""))


def test_a_signature_that_is_left_out_or_empty_is_refused() -> None:
    assert is_refused(VALID.rpartition(".")[0])
    assert is_refused(VALID.rpartition(".")[0] + ".")


@pytest.mark.parametrize(("ours", "theirs"), list(product(ALGORITHMS, ALGORITHMS)))
def test_only_the_configured_algorithm_is_accepted(ours: str, theirs: str) -> None:
    token = signed(header(SECRET, alg=theirs), claims(), SECRET, theirs)
    assert is_refused(token, signer(algorithm=ours)) is (ours != theirs)


@pytest.mark.parametrize("named", [*ALGORITHMS, "hs256", " HS256", "HS256\0", None, ["HS256"]])
def test_an_algorithm_in_name_alone_is_refused(named: object) -> None:
    token = signed(header(SECRET, alg=named), claims(), SECRET, "HS512")
    assert is_refused(token)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "HS256"])
def test_a_key_pair_of_the_attackers_is_no_key_of_ours(algorithm: str) -> None:
    private = generate_private_key(65537, 2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    numbers = private.public_key().public_numbers()
    jwk = {"kty": "RSA", "e": "AQAB", "n": base64url(numbers.n.to_bytes(256)), "kid": "x"}
    for extra in (
        {},
        {"jwk": jwk},
        {"jku": "https://evil.example/keys.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": [base64url(public)]},
    ):
        head = header(SECRET, alg=algorithm, **extra)
        signing_input = f"{part(head)}.{part(claims())}"
        rsa = private.sign(signing_input.encode(), PKCS1v15(), SHA256())
        assert is_refused(f"{signing_input}.{base64url(rsa)}")
        assert is_refused(signed(head, claims(), public))
        if algorithm != "HS256":
            assert is_refused(signed(head, claims(), SECRET))


@pytest.mark.parametrize(
    "kid",
    [
        *("../../../../../../dev/null", "/dev/null", "file:///dev/null", "..\\..\\nul", "0"),
        *("' UNION SELECT 'key' -- ", "x'; DROP TABLE users; --", "1 OR 1=1"),
        *("| whoami", "$(whoami)", "${jndi:ldap://evil.example/x}", "https://evil.example/key"),
        *("", " ", "\0", "\r\n", "口", key_name(OTHER), key_name(SECRET).upper() + " "),
        *(key_name(SECRET) + "\0", key_name(SECRET) + "/../" + key_name(SECRET), SECRET),
        *(None, 0, 7, 1.5, True, [], [key_name(SECRET)], {}, {"kid": key_name(SECRET)}),
    ],
)
def test_a_kid_that_names_no_secret_of_ours_is_refused(kid: object) -> None:
    head = {**header(SECRET, kid=None), **({} if kid is None else {"kid": kid})}
    for key in (SECRET, OTHER, "", "key", b"\0", str(kid)):
        assert is_refused(signed(head, claims(), key))


def test_a_kid_of_null_is_refused() -> None:
    assert is_refused(signed(header(SECRET) | {"kid": None}, claims(), SECRET))


def test_a_kid_of_ours_opens_nothing_without_its_secret() -> None:
    both = signer(SECRET, OTHER)
    assert is_refused(signed(header(SECRET), claims(), OTHER), both)
    assert is_refused(signed(header(OTHER), claims(), SECRET), both)


@pytest.mark.parametrize(
    ("wrong", "changes"),
    [
        ("expired", {"exp": now(-6)}),
        ("expired long ago", {"exp": 0}),
        ("expires never", {"exp": "never"}),
        ("not valid yet", {"nbf": now(3600)}),
        ("issued in the future", {"iat": now(3600)}),
        ("another audience", {"aud": "elsewhere"}),
        ("audiences without ours", {"aud": ["elsewhere", "Groundwork"]}),
        ("an audience that starts like ours", {"aud": "groundwork-admin"}),
        ("an empty audience", {"aud": ""}),
        ("another issuer", {"iss": "elsewhere"}),
        ("issuers", {"iss": ["groundwork"]}),
        ("a role that there is not", {"role": "root"}),
        ("a subject that is no id", {"sub": "ada"}),
        ("a session that is no id", {"sid": "1 OR 1=1"}),
    ],
)
def test_a_token_that_says_something_else_than_ours_is_refused(
    wrong: str, changes: dict[str, object]
) -> None:
    assert is_refused(signed(header(SECRET), claims(**changes), SECRET)), wrong


@pytest.mark.parametrize("name", sorted(claims()))
def test_a_token_without_one_of_its_claims_is_refused(name: str) -> None:
    assert is_refused(signed(header(SECRET), claims(**{name: None}), SECRET))
    assert is_refused(signed(header(SECRET), claims() | {name: None}, SECRET))


def test_clocks_may_differ_by_five_seconds() -> None:
    for changes in ({"exp": now(-3)}, {"iat": now(4)}, {"nbf": now(4)}):
        assert not is_refused(signed(header(SECRET), claims(**changes), SECRET)), changes


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"1", b"{", b"\xff", b"[" * 9000, b'{"exp":1e999}']
)
def test_a_payload_that_is_no_object_is_refused_even_signed(body: bytes) -> None:
    assert is_refused(signed(header(SECRET), body, SECRET))


@pytest.mark.parametrize("head", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 9000, b'{"a":' * 9000])
def test_a_header_that_is_no_object_is_refused(head: bytes) -> None:
    assert is_refused(signed(head, claims(), SECRET))


def test_a_header_with_what_we_do_not_understand_and_must_is_refused() -> None:
    extras: list[dict[str, object]] = [
        {"crit": ["exp"], "exp": now(600)},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
    ]
    for extra in extras:
        assert is_refused(signed(header(SECRET, **extra), claims(), SECRET)), extra


def test_a_token_is_refused_when_cut_at_any_place() -> None:
    accepted = [length for length in range(len(VALID)) if not is_refused(VALID[:length])]
    assert accepted == []
    accepted = [start for start in range(1, len(VALID)) if not is_refused(VALID[start:])]
    assert accepted == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_spelling_of_the_same_signature_is_refused(algorithm: str) -> None:
    ours = signer(algorithm=algorithm)
    token = ours.issue(OURS, utc_now())
    accepted = [last for last in BASE64URL if not is_refused(token[:-1] + last, ours)]
    assert accepted == [token[-1]]
    signed_part, _, signature = token.rpartition(".")
    for spelling in (
        *(signature + "=" * count for count in range(1, 6)),
        *(signature + space for space in (" ", "\n", "\r\n", "\t", "\0", "%3D")),
        *(" " + signature, "\n" + signature, signature[:9] + "\n" + signature[9:]),
        *(signature[:9] + "!" + signature[9:], signature + ".", "." + signature),
        signature + "A" * 4,
    ):
        assert is_refused(f"{signed_part}.{spelling}", ours), repr(spelling)


def test_the_other_alphabet_of_base64_is_refused() -> None:
    while True:
        token = signer().issue(OURS, utc_now())
        head, body, signature = token.split(".")
        if {"-", "_"} <= set(signature):
            break
    other = signature.replace("-", "+").replace("_", "/")
    assert is_refused(f"{head}.{body}.{other}")


def test_another_spelling_of_header_or_payload_is_refused() -> None:
    head, body, signature = VALID.split(".")
    for spelling in (
        *(f"{head}{tail}.{body}.{signature}" for tail in ("=", "==", "\n", " ", "%3D")),
        *(f"{head}.{body}{tail}.{signature}" for tail in ("=", "==", "\n", " ", "%3D")),
        f"{body}.{head}.{signature}",
        f".{VALID}",
        f"{VALID}.",
        f"{VALID}.{signature}",
        f"{head}.{body}.{body}.{signature}",
        f"{head}..{signature}",
        f'"{VALID}"',
        VALID + VALID,
    ):
        assert is_refused(spelling), spelling


def single_changes_of_the_signature() -> Iterator[str]:
    signature = range(VALID.rindex(".") + 1, len(VALID))
    for index, character in product(signature, BASE64URL + ".="):
        if VALID[index] != character:
            yield VALID[:index] + character + VALID[index + 1 :]


def test_no_change_of_one_character_of_the_signature_is_accepted() -> None:
    changed = list(single_changes_of_the_signature())
    assert len(changed) == 43 * 65
    assert [token for token in changed if not is_refused(token)] == []


@settings(deadline=None)
@given(st.integers(0, len(VALID) - 1), st.characters(), st.sampled_from(["swap", "add", "cut"]))
def test_no_change_of_one_character_is_accepted(index: int, character: str, change: str) -> None:
    after = VALID[index:] if change == "add" else VALID[index + 1 :]
    token = VALID[:index] + ("" if change == "cut" else character) + after
    assert token == VALID or is_refused(token)


@settings(deadline=None)
@given(st.text() | st.text(BASE64URL + ".=", max_size=400))
def test_garbage_is_refused_and_nothing_else_is_raised(garbage: str) -> None:
    assert is_refused(garbage)


def test_a_token_of_absurd_length_is_refused_before_it_is_decoded() -> None:
    token = signed(header(SECRET), claims(filler="x" * 10_000), SECRET)
    assert is_refused(token)


def test_a_previous_secret_still_verifies_and_new_tokens_are_under_the_newest() -> None:
    rotated = signer(OTHER, SECRET)
    assert rotated.verify(VALID) == OURS
    issued = rotated.issue(OURS, utc_now())
    assert signer(OTHER).verify(issued) == OURS
    assert is_refused(issued, signer(SECRET))


def test_a_secret_that_was_dropped_opens_nothing() -> None:
    assert is_refused(VALID, signer(OTHER))
    assert is_refused(signed(header(OTHER), claims(), SECRET), signer(OTHER))
    assert is_refused(signed(header(SECRET), claims(), OTHER), signer(OTHER))


def test_a_token_that_was_believed_before_is_refused_once_it_has_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = signer()
    token = ours.issue(OURS, utc_now())
    expires = time.time() + ours.lifetime.total_seconds()
    assert not is_refused(token, ours)
    monkeypatch.setattr(time, "time", lambda: expires - 60)
    assert not is_refused(token, ours)
    monkeypatch.setattr(time, "time", lambda: expires + 6)
    assert is_refused(token, ours)


def test_two_tokens_of_one_session_differ() -> None:
    moment = utc_now()
    assert signer().issue(OURS, moment) != signer().issue(OURS, moment)
