"""What is a password: its length, its spellings, and that nothing of it is cut off."""

import sys
import time
import unicodedata

import pytest

from tests.security.accounts import PASSWORD, Replica

pytestmark = pytest.mark.anyio

COMPOSED, DECOMPOSED = "é", "e\u0301"
DEEPEST = "\u1f82"  # one character that is four when taken apart


async def register(service: Replica, password: str, username: str = "new") -> int:
    body = {"username": username, "password": password}
    return (await service.http.post("/v1/auth/register", json=body)).status_code


async def logs_in(service: Replica, password: str, username: str = "new") -> bool:
    reply = await service.try_login(username, password)
    assert reply.status_code in (200, 401), reply.text
    return reply.status_code == 200


@pytest.mark.parametrize("length", [12, 13, 71, 72, 73, 100, 1023, 1024])
async def test_a_password_of_12_to_1024_characters_is_one_and_every_character_counts(
    service: Replica, length: int
) -> None:
    password = ("0123456789" * 103)[:length]
    assert await register(service, password) == 201
    assert await logs_in(service, password)
    changed = password[:-1] + "x"
    assert not await logs_in(service, changed)
    assert not await logs_in(service, password[:-1])
    assert not await logs_in(service, "x" + password[1:])


@pytest.mark.parametrize("length", [0, 1, 11, 1025, 5000])
async def test_a_shorter_or_longer_password_cannot_be_set(service: Replica, length: int) -> None:
    assert await register(service, "x" * length) == 422
    someone = await service.login()
    body = {"current_password": PASSWORD, "new_password": "x" * length}
    reply = await service.http.post("/v1/auth/password", json=body, headers=someone.headers)
    assert reply.status_code == 422
    admin = (await service.login("admin")).headers
    new = {"username": "new", "password": "x" * length}
    assert (await service.http.post("/v1/users", json=new, headers=admin)).status_code == 422


@pytest.mark.parametrize(("language", "message"), [("en", "wrong password"), ("zh", "密码错误")])
async def test_a_wrong_current_password_is_403_as_the_token_is_good(
    service: Replica, language: str, message: str
) -> None:
    """A 401 would send clients to refresh the token and to try again, for ever."""
    headers = (await service.login()).headers | {"Accept-Language": language}
    body = {"current_password": "wrong horse battery staple", "new_password": PASSWORD}
    reply = await service.http.post("/v1/auth/password", json=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (403, 40003)
    assert reply.json()["message"] == message
    assert "www-authenticate" not in reply.headers


async def test_a_password_is_counted_in_characters_and_not_in_bytes(service: Replica) -> None:
    assert await register(service, "口" * 1024) == 201
    assert await logs_in(service, "口" * 1024)
    assert await register(service, "😀" * 11, "few") == 422
    assert await register(service, "😀" * 12, "enough") == 201


async def test_two_long_passwords_that_differ_after_byte_72_are_two(service: Replica) -> None:
    assert await register(service, "x" * 72 + "first") == 201
    assert await logs_in(service, "x" * 72 + "first")
    for other in ("x" * 72 + "other", "x" * 72, "x" * 73, "x" * 72 + "first" + "x"):
        assert not await logs_in(service, other)


async def test_nothing_is_lost_after_a_nul(service: Replica) -> None:
    assert await register(service, "\0" * 6 + "first\0") == 201
    assert await logs_in(service, "\0" * 6 + "first\0")
    for other in ("\0" * 6 + "other\0", "\0" * 12, "\0" * 6 + "first", "\0" * 6, ""):
        assert not await logs_in(service, other)


@pytest.mark.parametrize(
    ("one", "other"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=["set", "tried"]
)
async def test_composed_and_decomposed_accents_are_one_password(
    service: Replica, one: str, other: str
) -> None:
    assert await register(service, f"caf{one} au lait {one}") == 201
    assert await logs_in(service, f"caf{other} au lait {other}")
    assert await logs_in(service, f"caf{one} au lait {other}")
    assert not await logs_in(service, "cafe au lait e")


@pytest.mark.parametrize("character", [DECOMPOSED, unicodedata.normalize("NFD", DEEPEST)])
async def test_the_length_is_that_of_the_composed_form(service: Replica, character: str) -> None:
    assert await register(service, character * 11, "few") == 422
    assert await register(service, character * 1025, "many") == 422
    assert await register(service, character * 1024) == 201
    assert await logs_in(service, character * 1024)
    assert await logs_in(service, unicodedata.normalize("NFC", character * 1024))
    changed = {"current_password": character * 1024, "new_password": character * 1023}
    headers = (await service.login("new", character * 1024)).headers
    reply = await service.http.post("/v1/auth/password", json=changed, headers=headers)
    assert reply.status_code == 200


def test_no_character_has_more_parts_than_the_length_before_composing_allows_for() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    assert max(len(unicodedata.normalize("NFD", character)) for character in every) == 4


@pytest.mark.parametrize("path", ["/v1/auth/register", "/v1/auth/login"])
async def test_a_megabyte_of_accents_is_refused_before_it_is_composed(
    service: Replica, path: str
) -> None:
    """Composing it would hold the loop for minutes; the deadline is far from both."""
    accents = "a" + "\u0301" * 250_000 + "\u0323" * 250_000
    body = f'{{"username":"new","password":"{accents}"}}'.encode()
    assert len(body) < service.resources.settings.max_body_bytes
    started = time.perf_counter()
    reply = await service.http.post(
        path, content=body, headers={"content-type": "application/json"}
    )
    assert reply.status_code == 422
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("length", [0, 1, 11, 1024])
async def test_a_password_of_any_length_may_be_tried(service: Replica, length: int) -> None:
    assert not await logs_in(service, "x" * length, "user")


async def test_a_lone_surrogate_is_a_character_like_any_other(service: Replica) -> None:
    """JavaScript's strings can hold one, and JSON can say it."""
    headers = {"content-type": "application/json"}
    first, other = (
        f'{{"username":"new","password":"\\ud8{digits} correct horse battery"}}'.encode()
        for digits in ("00", "01")
    )
    for path, body, status in (
        ("/v1/auth/register", first, 201),
        ("/v1/auth/login", first, 200),
        ("/v1/auth/login", other, 401),
    ):
        reply = await service.http.post(path, content=body, headers=headers)
        assert reply.status_code == status
