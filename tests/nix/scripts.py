"""The scripts that derivations run, as modules: they are no package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "nix"


def load(name: str) -> ModuleType:
    """`nix/{name}.py`."""
    spec = importlib.util.spec_from_file_location(f"nix_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module
