"""`groundwork openapi`."""

import json
from pathlib import Path

from tests.unit.cli.conftest import Run
from tests.unit.config.folder import Folder

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_it_prints_the_committed_document_to_the_byte_and_needs_no_configuration(
    run: Run, folder: Folder
) -> None:
    """Mend with: `groundwork openapi > docs/openapi.json`."""
    folder.environ = {"APP_ENV": "broken", "CONFIG_DIR": "/nowhere", "AES_SECRET": "x"}
    result = run("openapi")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["openapi"].startswith("3.1")
    assert result.stdout == COMMITTED.read_text()
