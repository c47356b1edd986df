from typing import Self

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """What clients send: a field that is not in the shape is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class View(BaseModel):
    """What clients get to see of a row."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, row: object) -> Self:
        return cls.model_validate(row)
