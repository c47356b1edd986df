from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """What clients send: a field that is not in the shape is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Change(Request):
    """What is left out stays as it is: a generated client must not fill defaults in."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


class Reply(BaseModel):
    """What clients get: every field is in it."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=True,
        hide_input_in_errors=True,
    )


class View(Reply):
    """What clients get to see of a row."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, row: object) -> Self:
        return cls.model_validate(row)
