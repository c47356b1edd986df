"""Routes that come to their end, in every way, with secrets at hand."""

import logging
import warnings
from typing import Any

from fastapi import APIRouter
from loguru import logger
from sqlalchemy import insert

from internal.controllers.dependencies import ResourcesDep
from internal.core.envelope import Envelope
from internal.models.user import User
from internal.schemas.auth import RefreshRequest, TokenPair
from tests.unit.http.serving import public_router


def crashing(secret: str) -> APIRouter:
    """Every route fails but the last, which logs."""
    router = public_router()

    @router.get("/crash/locals")
    async def with_secrets_in_the_frame(resources: ResourcesDep) -> None:
        key, local = resources.settings.jwt_secret.get_secret_value(), secret
        raise RuntimeError(len(local)) from KeyError(len(key))

    @router.get("/crash/message")
    async def with_a_message() -> None:
        raise RuntimeError(
            f"Authorization: Bearer {secret} and password={secret}&token={secret}, "
            f"mysql://groundwork:{secret}@db/groundwork "
            f"ENC(v1.12345678.{secret})"
        )

    @router.get("/crash/database")
    async def in_the_database(resources: ResourcesDep) -> None:
        async with resources.database.begin() as connection:
            await connection.execute(insert(User), [{"id": 1, "password_hash": secret}])

    @router.get("/crash/reply")
    async def with_a_reply_of_another_shape() -> Envelope[TokenPair]:
        wrong: dict[str, Any] = {"access_token": [secret], "refresh_token": {"x": secret}}
        return Envelope.model_construct(data=TokenPair.model_construct(**wrong))

    @router.get("/crash/request")
    async def with_a_request_of_another_shape() -> None:
        RefreshRequest.model_validate({"refresh_token": [secret], "x": secret})

    @router.get("/crash/value")
    async def with_a_value_of_another_shape() -> None:
        TokenPair.model_validate({"access_token": [secret], "refresh_token": {"x": secret}})

    @router.get("/log")
    async def into_the_log() -> Envelope[None]:
        headers = {"Authorization": secret, "Cookie": secret, "X-Signature": secret}
        bound = logger.bind(token=secret, db_password=secret, api_key=secret, headers=headers)
        bound.debug("with fields")
        logging.getLogger("a.library").warning("login with password=%s", secret)
        logging.getLogger("a.library").debug("GET https://user:%s@host/?token=%s", secret, secret)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"secret={secret}", stacklevel=1)
        return Envelope(data=None)

    return router
