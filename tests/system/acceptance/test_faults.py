"""A part is killed or frozen: what says so, what goes on, and that it comes back by itself."""

import httpx
import pytest

from tests.system.acceptance.conftest import eventually, status, without

PARTS = ["database", "redis"]


def failing(http: httpx.Client, part: str) -> bool:
    """Whether readiness is refused, for this part and no other."""
    reply = http.get("/readyz")
    if reply.status_code != 503:
        return False
    parts = reply.json()["data"]["parts"]
    return [name for name, state in parts.items() if state != "ok"] == [part]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_killed_is_named_and_its_return_is_enough(
    replica: httpx.Client, part: str
) -> None:
    with without(replica, f"KILL_{part.upper()}", f"START_{part.upper()}"):
        eventually(lambda: failing(replica, part), f"503 for {part}")
        assert status(replica, "/livez") == 200


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_hangs_is_named_and_holds_nothing_up(replica: httpx.Client, part: str) -> None:
    with without(replica, f"FREEZE_{part.upper()}", f"THAW_{part.upper()}"):
        eventually(lambda: failing(replica, part), f"503 for {part}")
        assert status(replica, "/livez") == 200
        assert status(replica, "/version") == 200


@pytest.mark.parametrize("part", PARTS)
def test_a_part_may_fail_again_and_again(replica: httpx.Client, part: str) -> None:
    for _ in range(2):
        with without(replica, f"KILL_{part.upper()}", f"START_{part.upper()}"):
            eventually(lambda: failing(replica, part), f"503 for {part}")
