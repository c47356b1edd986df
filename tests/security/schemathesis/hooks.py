"""Loaded by schemathesis: who it is signed in as, and which findings are none."""

import os
import secrets
import subprocess
import sys
from typing import Any, cast

import httpx
import requests
import schemathesis
from requests.auth import AuthBase
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

from internal.core.signature import CLIENT_ID, NONCE, SIGNATURE, TIMESTAMP
from internal.infra.signing import SignedAuth
from internal.services.idempotency import KeyReused

ROLE = os.environ["SIGNED_IN_AS"]
BASE_URL = os.environ["BASE_URL"]
ENDS_SESSIONS = {"logout", "logoutEverywhere", "changePassword"}
SIGNATURE_HEADERS = (CLIENT_ID, TIMESTAMP, NONCE, SIGNATURE)


class Signature(AuthBase):
    """Signs what is about to be sent."""

    def __init__(self, client_id: str, secret: str) -> None:
        self._auth = SignedAuth(client_id, secret)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = cast("str | bytes", request.body or b"")  # schemathesis sends no streams
        signed = httpx.Request(
            request.method or "",
            httpx.URL(BASE_URL).copy_with(raw_path=request.path_url.encode()),
            content=body.encode() if isinstance(body, str) else body,
        )
        next(self._auth.auth_flow(signed))
        for name in SIGNATURE_HEADERS:
            request.headers[name] = signed.headers[name]
        return request


class Account:
    """Somebody of the role, signed in again when a session has ended."""

    token = ""
    username = ""
    password = ""

    def sign_in(self) -> str:
        with httpx.Client(base_url=BASE_URL) as http:
            reply = self._login(http)
            if reply.is_error:  # there is none yet, or its password was guessed at too often
                self._make_another(http)
                reply = self._login(http).raise_for_status()
        self.token = reply.json()["data"]["access_token"]
        return self.token

    def _login(self, http: httpx.Client) -> httpx.Response:
        credentials = {"username": self.username, "password": self.password}
        return http.post("/v1/auth/login", json=credentials)

    def _make_another(self, http: httpx.Client) -> None:
        self.username = f"{ROLE}-{secrets.token_hex(8)}"
        self.password = "correct horse battery staple"
        if ROLE == "admin":
            command = [sys.executable, "-m", "internal", "users", "create-admin", self.username]
            subprocess.run(command, input=self.password, text=True, check=True)
        else:
            registration = {"username": self.username, "password": self.password}
            http.post("/v1/auth/register", json=registration).raise_for_status()


account = Account()


class Token:
    def get(self, _case: schemathesis.Case[Any], _context: schemathesis.AuthContext) -> str:
        return account.token or account.sign_in()

    def set(
        self, case: schemathesis.Case[Any], data: str, _context: schemathesis.AuthContext
    ) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


if ROLE == "client":
    signature = Signature(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
    schemathesis.auth.set_from_requests(signature)  # type: ignore[attr-defined] # it has
elif ROLE != "nobody":
    schemathesis.auth(refresh_interval=None)(Token)


@schemathesis.hook
def after_call(
    _context: schemathesis.HookContext,
    case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> None:
    """A session that this call has ended is no use to the next one."""
    operation = case.operation.definition.raw.get("operationId")
    if operation in ENDS_SESSIONS and response.status_code == httpx.codes.OK:
        account.token = ""
        if operation == "changePassword" and isinstance(case.body, dict):
            account.password = str(case.body["new_password"])


@schemathesis.hook
def filter_failure(
    _context: schemathesis.HookContext,
    failure: Exception,
    _case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> bool:
    """False for what no schema can say, and for what our own signing has mended."""
    if isinstance(failure, RejectedPositiveData):
        # Another body under an Idempotency-Key that was used before; a kind of job that there is
        # not, or not for this caller; a payload that is not of the kind's shape.
        reply = response.json()
        problems = reply["data"] if isinstance(reply.get("data"), list) else []
        is_of_the_kind = any(
            problem["field"].startswith(("body.kind", "body.payload.")) for problem in problems
        )
        return not is_of_the_kind and str(reply.get("message")) != KeyReused.message.en
    if isinstance(failure, AcceptedNegativeData):
        # Headers of a signature left out or spoilt, and then put on again.
        return not any(name in str(failure) for name in SIGNATURE_HEADERS)
    return True
