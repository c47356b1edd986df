"""Examples for the OpenAPI document, put together from those of the fields."""

from collections.abc import Mapping
from typing import Any

type Schema = Mapping[str, Any]


def example_of(schema: Schema, schemas: Mapping[str, Schema]) -> object:
    """A value of this schema.

    Args:
        schemas: the named ones that a schema may refer to.
    """
    example: object = None
    match schema:
        case {"examples": [given, *_]}:
            example = given
        case {"$ref": reference}:
            example = example_of(schemas[reference.rpartition("/")[2]], schemas)
        case {"default": given} | {"enum": [given, *_]}:
            example = given
        case {"anyOf": [kind, *_]}:
            example = example_of(kind, schemas)
        case {"type": "object"}:
            fields: Mapping[str, Schema] = schema.get("properties", {})
            example = {name: example_of(field, schemas) for name, field in fields.items()}
        case {"type": "array", "items": items}:
            example = [example_of(items, schemas)]
    return example
