import pytest

from internal.infra import history
from internal.infra.history import SAMPLES, History
from internal.infra.metrics import Metrics


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        """The only one that is asked: a clock that is set back would make a rate of thousands."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(history, "time", clock)
    return clock


def test_an_interval_tells_what_ended_in_it_and_not_before(clock: Clock) -> None:
    metrics = Metrics()
    seen = History(metrics.collect)
    metrics.observe_request("GET", "/old", 200, 9.0, "")
    seen.sample()
    for seconds in [0.004] * 19 + [0.2]:
        metrics.observe_request("GET", "/a", 200, seconds, "")
    metrics.observe_request("GET", "/b", 500, 2.0, "")
    clock.now += 10
    seen.sample()
    (interval,) = seen.intervals
    assert interval.rate == pytest.approx(2.1)
    assert interval.quantile(0.5) == 0.005
    assert interval.quantile(0.95) == 0.25
    assert [found.route for found in seen.slowest(10)] == ["GET /b", "GET /a"]


def test_nothing_that_ended_has_no_latency(clock: Clock) -> None:
    seen = History(Metrics().collect)
    for _ in range(2):
        seen.sample()
        clock.now += 10
    assert seen.intervals[0].quantile(0.95) is None
    assert seen.intervals[0].rate == 0


def test_no_more_is_kept_than_a_quarter_of_an_hour(clock: Clock) -> None:
    seen = History(Metrics().collect)
    for _ in range(SAMPLES * 2):
        clock.now += 10
        seen.sample()
    assert len(seen.intervals) == SAMPLES
