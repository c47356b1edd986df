"""Field types that several shapes share."""

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)

from internal.core.password import MAX_CHARACTERS, MIN_CHARACTERS, check_password, compose

MAX_ID = (1 << 63) - 1


def _number(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
            raise ValueError("an id is a number of up to 19 digits")
        return min(int(value), MAX_ID)  # no row has the largest: what is larger is not found
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _checked(value: SecretStr) -> SecretStr:
    return SecretStr(check_password(value.get_secret_value()))


def _composed(value: SecretStr) -> SecretStr:
    return SecretStr(compose(value.get_secret_value()))


# 63 bits: a client whose numbers have 53 needs them as strings.
type Id = Annotated[
    int,
    BeforeValidator(_number),
    Field(ge=0, le=MAX_ID),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": "^[0-9]{1,19}$", "examples": ["7201443112960000"]}
    ),
]

# Lower-case, so that nobody can look like somebody else; an e-mail address will do.
type Username = Annotated[
    str,
    BeforeValidator(_lower),
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9._+@-]{2,127}$"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._+@-]{2,127}$",
            "examples": ["ada@example.com"],
        }
    ),
]

type DisplayName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$"),
    Field(examples=["Ada Lovelace"]),
]


def _password_schema(**length: int) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "writeOnly": True,
            **length,
            "examples": ["correct horse battery staple"],
        }
    )


# A password that is being set; one that is being tried may be anything.
type NewPassword = Annotated[
    SecretStr,
    AfterValidator(_checked),
    _password_schema(minLength=MIN_CHARACTERS, maxLength=MAX_CHARACTERS),
]

type TriedPassword = Annotated[
    SecretStr,
    AfterValidator(_composed),
    _password_schema(maxLength=MAX_CHARACTERS),
]
