"""Files that the operations page is made of, named by what is in them."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Literal

type AssetName = Literal["ops.css", "icon.svg"]


@cache
def content_of(name: AssetName) -> bytes:
    return (files(__name__) / name).read_bytes()


@cache
def digest_of(name: AssetName) -> str:
    """In its address: it may be cached for ever."""
    return hashlib.sha256(content_of(name)).hexdigest()[:16]
