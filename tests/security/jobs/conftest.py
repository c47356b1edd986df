import pytest

from internal.services.jobs import watch
from tests.security.jobs.kinds import ALL_KINDS


@pytest.fixture(autouse=True)
def every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("internal.services.assembly.KINDS", "internal.lifespan.KINDS"):
        monkeypatch.setattr(place, ALL_KINDS)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams hear of news within hundredths of a second."""
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.02)
