from typing import Annotated

from fastapi import Path

from internal.schemas.fields import Id

type IdPath = Annotated[Id, Path()]
