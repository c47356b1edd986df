from collections.abc import Iterator

import pytest

from tests.conftest import MakeSettings
from tests.unit.infra.log import Log, logging_of


@pytest.fixture
def log(make_settings: MakeSettings) -> Iterator[Log]:
    """JSON lines of level INFO and above."""
    with logging_of(make_settings()) as log:
        yield log
