from pathlib import Path

import pytest

from tests.unit.config.folder import Folder, prod_folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return prod_folder(tmp_path)
