"""What is posted where validation is measured."""

from typing import Annotated

from pydantic import BaseModel, Field


class Part(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=1000)]


class Thing(BaseModel):
    title: Annotated[str, Field(min_length=1, max_length=120)]
    price: Annotated[float, Field(gt=0)]
    tags: Annotated[list[str], Field(max_length=10)]
    parts: Annotated[list[Part], Field(max_length=20)]


EXAMPLE = Thing(
    title="workbench",
    price=199.5,
    tags=["wood", "large"],
    parts=[Part(name="leg", quantity=4), Part(name="top", quantity=1)],
)
