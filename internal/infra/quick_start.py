"""What makes a start shorter than its imports are long by themselves."""

import gc
import sys


def begin_start() -> None:
    """Call it before the application is imported.

    The collector would walk through a hundred thousand objects again and again, none of which is
    garbage: a tenth of the start. And FastAPI asks of each parameter whether it is a model of
    Pydantic 1, which it loads for that, and goes on without where there is none.
    """
    gc.disable()
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type] # Python's "not there"


def end_start() -> None:
    """Call it when everything is loaded: what is there now stays, and is not walked through."""
    gc.freeze()
    gc.enable()
