"""An account from its login to its logout; the first one is made by the service's own command."""

import time

import httpx

from tests.system.acceptance.conftest import Admin, eventually

# Within this a spent refresh token is taken for a second tab's, not for a thief's; and a moment.
RACE_SECONDS = 10 + 2


def refresh(http: httpx.Client, token: str) -> httpx.Response:
    return http.post("/v1/auth/refresh", json={"refresh_token": token})


def test_who_logs_in_is_known_and_nobody_else(http: httpx.Client, admin: Admin) -> None:
    me = http.get("/v1/auth/me", headers=admin.headers)
    assert me.status_code == 200
    assert (me.json()["data"]["username"], me.json()["data"]["role"]) == (admin.username, "admin")
    assert http.get("/v1/auth/me").status_code == 401
    wrong = {"username": admin.username, "password": "none that was ever set"}
    assert http.post("/v1/auth/login", json=wrong).status_code == 401


def test_a_refresh_token_is_spent_once_and_its_second_use_ends_the_session(
    http: httpx.Client, admin: Admin
) -> None:
    first = admin.login(http)
    second = refresh(http, first["refresh_token"])
    assert second.status_code == 200
    headers = {"Authorization": f"Bearer {second.json()['data']['access_token']}"}
    assert http.get("/v1/auth/me", headers=headers).status_code == 200

    assert refresh(http, first["refresh_token"]).status_code == 409
    assert http.get("/v1/auth/me", headers=headers).status_code == 200

    time.sleep(RACE_SECONDS)
    assert refresh(http, first["refresh_token"]).status_code == 401
    eventually(
        lambda: http.get("/v1/auth/me", headers=headers).status_code == 401, "the session's end"
    )
    assert refresh(http, second.json()["data"]["refresh_token"]).status_code == 401


def test_a_logout_ends_the_session_and_no_other(http: httpx.Client, admin: Admin) -> None:
    tokens = admin.login(http)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert http.post("/v1/auth/logout", headers=headers).status_code == 200
    # Replicas that did not see it remember a session for two seconds.
    eventually(
        lambda: http.get("/v1/auth/me", headers=headers).status_code == 401, "the session's end"
    )
    assert refresh(http, tokens["refresh_token"]).status_code == 401
    assert http.get("/v1/auth/me", headers=admin.headers).status_code == 200
