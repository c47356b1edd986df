"""How a token may be sent, and what a caller learns from a refusal."""

import pytest

from internal.core.tokens import key_name
from tests.security.accounts import Person, Replica, bearer
from tests.security.conftest import Serve
from tests.security.forgery import claims, header, signed, unsigned
from tests.unit.http.serving import Exchange, Lines

pytestmark = pytest.mark.anyio

JWT_SECRET = "a secret that the test knows and forges with: 64 bytes and more of it"


async def sent(service: Replica, *headers: tuple[bytes, bytes], query: bytes = b"") -> Exchange:
    return await Exchange(path="/v1/auth/me", headers=headers, query=query).run(service.app)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_written_in_any_case(service: Replica, scheme: str) -> None:
    token = (await service.login()).access_token
    exchange = await sent(service, (b"authorization", f"{scheme} {token}".encode()))
    assert exchange.status == 200


async def test_a_token_that_is_sent_in_any_other_way_is_not_seen(service: Replica) -> None:
    token = (await service.login()).access_token.encode()
    for value in (
        *(token, b"Bearer", b"Bearer ", b"Bearer" + token, b"Bearer\t" + token),
        *(b" Bearer " + token, b"Bearer  " + token, b"Bearer " + token + b" "),
        *(b"Basic " + token, b"Token " + token, b"JWT " + token, b"Digest " + token),
        *(b'Bearer "' + token + b'"', b"Bearer token=" + token, b"Bearer " + token + b", x"),
        *(b"Bearer " + token + b"\0", b"Bearer \xff" + token, b""),
    ):
        assert (await sent(service, (b"authorization", value))).status == 401, value
    for name in (b"cookie", b"x-authorization", b"proxy-authorization", b"x-access-token"):
        assert (await sent(service, (name, b"Bearer " + token))).status == 401, name
    for query in (b"access_token=", b"token=", b"authorization=Bearer%20"):
        assert (await sent(service, query=query + token)).status == 401, query


async def test_two_authorization_headers_are_none(service: Replica) -> None:
    value = f"Bearer {(await service.login()).access_token}".encode()
    for other in (value, b"", b"Bearer x", b"Basic eDp5"):
        for pair in ((value, other), (other, value)):
            exchange = await sent(service, *((b"authorization", each) for each in pair))
            assert exchange.status == 401, pair


def hostile(valid: str) -> dict[str, str]:
    head, _, signature = valid.split(".")
    return {
        "none at all": "",
        "garbage": "garbage",
        "alg none": unsigned(header(JWT_SECRET, alg="none"), claims()),
        "another algorithm": signed(header(JWT_SECRET, alg="HS512"), claims(), JWT_SECRET, "HS512"),
        "kid of a path": signed(header(JWT_SECRET, kid="../../dev/null"), claims(), b""),
        "kid that is a number": signed(header(JWT_SECRET, kid=7), claims(), JWT_SECRET),
        "expired": signed(header(JWT_SECRET), claims(exp=1), JWT_SECRET),
        "not valid yet": signed(header(JWT_SECRET), claims(nbf=1 << 40), JWT_SECRET),
        "another audience": signed(header(JWT_SECRET), claims(aud="x"), JWT_SECRET),
        "no such session": signed(header(JWT_SECRET), claims(), JWT_SECRET),
        "a session below zero": signed(header(JWT_SECRET), claims(sid="-1"), JWT_SECRET),
        "cut": valid[:-1],
        "padded": valid + "=",
        "another payload": f"{head}.{head}.{signature}",
        "a deep header": signed(b"[" * 2500, claims(), JWT_SECRET),
        "as long as headers may be": "x" * 60_000,
    }


async def test_every_refusal_is_the_same_reply_and_no_error_of_ours(
    serve: Serve, lines: Lines
) -> None:
    async with serve(JWT_SECRET=JWT_SECRET) as service:
        valid = (await service.login()).access_token
        replies = {
            name: await service.http.get("/v1/auth/me", headers=bearer(token))
            for name, token in hostile(valid).items()
        }
        replies["no header"] = await service.http.get("/v1/auth/me")
        for name, reply in replies.items():
            assert reply.status_code == 401, name
            assert reply.headers["www-authenticate"] == "Bearer", name
            assert reply.json() == {
                "code": 40001,
                "message": "authentication required",
                "data": None,
                "trace_id": reply.headers["x-trace-id"],
            }, name
        assert [line for line in lines.all if line["level"] in ("WARNING", "ERROR")] == []


async def forged_for(service: Replica, someone: Person, **changes: object) -> int:
    """The status of a request with a token of the secret's own, but not as it was issued."""
    sessions = {row["id"]: row for row in await service.rows("login_sessions")}
    (session,) = sessions.values()
    own = {"sub": str(session["user_id"]), "sid": str(session["id"]), "ver": 1, "role": "user"}
    assert await service.me(someone.access_token) == 200
    return await service.me(signed(header(JWT_SECRET), claims(**own | changes), JWT_SECRET))


async def test_even_a_signed_token_must_agree_with_the_rows(serve: Serve) -> None:
    async with serve(JWT_SECRET=JWT_SECRET) as service:
        someone = await service.login()
        assert await forged_for(service, someone) == 200
        for changes in (
            {"role": "admin"},
            {"ver": 0},
            {"ver": 2},
            {"sub": str(service.populated.ids["admin"])},
            {"sub": "0"},
            {"sid": "1"},
        ):
            assert await forged_for(service, someone, **changes) == 401, changes


async def test_a_token_of_a_previous_secret_is_believed_until_that_is_dropped(
    serve: Serve,
) -> None:
    newest = JWT_SECRET.replace("a secret", "another one")
    async with serve(JWT_SECRET=JWT_SECRET) as service:
        before = await service.login()
    async with serve(JWT_SECRET=newest, JWT_SECRET_PREVIOUS=JWT_SECRET) as rotated:
        assert await rotated.me(before.access_token) == 200
        after = await rotated.login()
        assert await rotated.me(after.access_token) == 200
    async with serve(JWT_SECRET=newest) as dropped:
        assert await dropped.me(before.access_token) == 401
        assert await dropped.me(after.access_token) == 200
        forged = signed(header(newest, kid=key_name(JWT_SECRET)), claims(), JWT_SECRET)
        assert await dropped.me(forged) == 401
