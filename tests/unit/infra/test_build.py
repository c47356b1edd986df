from collections.abc import Iterator
from importlib.metadata import version

import pytest

from internal.infra.build import BuildInfo, build_info


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What is known of a build is read once a process."""
    build_info.cache_clear()
    yield
    build_info.cache_clear()


def test_a_build_that_says_nothing_is_known_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUNDWORK_REVISION", raising=False)
    monkeypatch.delenv("GROUNDWORK_BUILD", raising=False)
    assert build_info() == BuildInfo(version("groundwork"), "", "")


def test_the_images_build_says_revision_and_store_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDWORK_REVISION", "7af23cfe")
    monkeypatch.setenv("GROUNDWORK_BUILD", "3kq0j6cmj1bp")
    assert build_info() == BuildInfo(version("groundwork"), "7af23cfe", "3kq0j6cmj1bp")
