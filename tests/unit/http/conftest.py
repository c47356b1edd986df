import pytest

from tests.unit.http.serving import Lines


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Lines:
    """The log, if asked for before the app is created."""
    return Lines(lambda: capsysbinary.readouterr().out)
