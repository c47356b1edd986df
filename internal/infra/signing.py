"""Signing outgoing requests with httpx: `httpx.Client(auth=SignedAuth(client_id, secret))`."""

import secrets
import time
from collections.abc import Generator

import httpx

from internal.core.signature import (
    CLIENT_ID,
    NONCE,
    SIGNATURE,
    TIMESTAMP,
    SignatureHeaders,
    canonical_request,
    sign,
)


class SignedAuth(httpx.Auth):
    """Signs each request, a repeated one anew: a nonce is good for one attempt."""

    requires_request_body = True

    def __init__(self, client_id: str, secret: str) -> None:
        self._client_id = client_id
        self._secret = secret.encode()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        path, _, query = request.url.raw_path.partition(b"?")
        headers = SignatureHeaders(
            self._client_id.encode(),
            str(int(time.time())).encode(),
            secrets.token_urlsafe(24).encode(),
            b"",
        )
        canonical = canonical_request(
            headers, request.method.encode(), path, query, request.content
        )
        request.headers[CLIENT_ID] = self._client_id
        request.headers[TIMESTAMP] = headers.timestamp.decode()
        request.headers[NONCE] = headers.nonce.decode()
        request.headers[SIGNATURE] = sign(self._secret, canonical).decode()
        yield request
