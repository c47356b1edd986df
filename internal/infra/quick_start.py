"""What makes a start shorter than its imports are long by themselves."""

import gc
import sys
import warnings

from pydantic import BaseModel
from pydantic.warnings import UnsupportedFieldAttributeWarning


def begin_start() -> None:
    """Call it before the application is imported.

    The collector would walk through a hundred thousand objects again and again, none of which is
    garbage: a tenth of the start. FastAPI asks of each parameter whether it is a model of
    Pydantic 1, which it loads for that, and goes on without where there is none. And it has forty
    models of OpenAPI documents, of which a start uses two or three: models are built when used.
    """
    gc.disable()
    BaseModel.model_config["defer_build"] = True
    # FastAPI silences it where it makes its models of bodies, and is not there when they are built.
    warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type] # Python's "not there"
    leave_metrics_sdk()


def leave_metrics_sdk() -> None:
    """Call it before Redis's client is imported.

    Where OpenTelemetry's SDK is installed, it loads the half for metrics, for 60 ms, which nobody
    has asked it for, and goes on without where there is none. Traces need the other half.
    """
    sys.modules.setdefault("opentelemetry.sdk.metrics", None)  # type: ignore[arg-type]


def end_start() -> None:
    """Call it when everything is loaded: what is there now stays, and is not walked through."""
    gc.freeze()
    gc.enable()
