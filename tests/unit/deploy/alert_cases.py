"""Made-up series for every alert: with some it fires, with others, nearly as bad, it does not.

In promtool's notation, a value a step: `a+bxn` is a, then n more, b larger each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

type Series = Mapping[str, str]

HOUR = 60
API = 'job="groundwork",instance="api:8000"'
WORKER = 'job="groundwork-worker",instance="worker:9000"'
OTHER_API = API.replace("api", "api-2")


def requests(status: int, route: str = "/v1/users", of: str = API) -> str:
    return f'http_requests_total{{{of},method="GET",route="{route}",status="{status}"}}'


def timed(le: str, route: str = "/v1/users") -> str:
    labels = f'{API},method="GET",route="{route}",status="200",le="{le}"'
    return f"http_request_duration_seconds_bucket{{{labels}}}"


def waited(part: str, le: str = "") -> str:
    return f"db_pool_wait_seconds_{part}{{{API}{le}}}"


def jobs(state: str) -> str:
    return f'job_queue_depth{{{API},kind="webhook.deliver",state="{state}"}}'


UP, WORKER_UP = f"up{{{API}}}", f"up{{{WORKER}}}"
LEADS, OTHER_LEADS = f"scheduler_is_leader{{{API}}}", f"scheduler_is_leader{{{OTHER_API}}}"
DONE = f'jobs_total{{{WORKER},kind="maintenance.purge",state="succeeded"}}'
MEMORY = f"process_resident_memory_bytes{{{API}}}"
LAG = f"outbox_lag_seconds{{{API}}}"
CHECKED_OUT = f"db_pool_checked_out{{{API}}}"

# 600 requests a minute, of which one in 2,000 fails and one in 200 is slow.
HEALTHY: Series = {
    UP: "1x{n}",
    WORKER_UP: "1x{n}",
    requests(200): "0+600x{n}",
    requests(500): "0+0.3x{n}",
    requests(503, "/readyz"): "0+60x{n}",  # not ready is no error
    timed("0.5"): "0+597x{n}",
    timed("+Inf"): "0+600x{n}",
    timed("0.5", "/v1/jobs/{{job_id}}/events"): "0x{n}",  # a long stream is not slow
    timed("+Inf", "/v1/jobs/{{job_id}}/events"): "0+600x{n}",
    f"db_pool_size{{{API}}}": "10x{n}",
    CHECKED_OUT: "4x{n}",
    waited("count"): "0+600x{n}",
    waited("bucket", ',le="2.5"'): "0+600x{n}",
    MEMORY: "300000000x{n}",
    DONE: "0+0.2x{n}",
    jobs("queued"): "20x{n}",
    jobs("running"): "2x{n}",
    jobs("dead"): "3x{n}",  # some days old, kept to be looked at
    LAG: "0.2x{n}",
    LEADS: "1x{n}",
    OTHER_LEADS: "0x{n}",
}


@dataclass(frozen=True)
class Case:
    """What is different from the healthy installation.

    Args:
        fires, quiet: series → values; no values: it is not there.
        minutes: when to look for it; for quiet, 45 later.
        step: minutes from one value to the next.
        also: alerts that fire with it.
    """

    fires: Series
    quiet: Series
    minutes: int = HOUR
    step: int = 1
    also: frozenset[str] = field(default_factory=frozenset)


def share(kind: str, *parts: tuple[int, float]) -> Series:
    """Of 600 requests a minute, those that fail or are slow: (minutes, share) one after another."""
    name = requests(500) if kind == "errors" else timed("0.5")
    values, total = "", 0.0
    for minutes, part in parts:
        step = 600 * (part if kind == "errors" else 1 - part)
        values += f"{total}+{step}x{minutes - 1} "
        total += step * minutes
    return {name: values}


CASES: Mapping[str, Case] = {
    "ErrorBudgetBurnsFast": Case(
        fires=share("errors", (6 * HOUR, 0), (HOUR, 0.05)),
        quiet=share("errors", (6 * HOUR, 0), (HOUR, 0.05), (45, 0)),  # it is over
        minutes=7 * HOUR,
        also=frozenset({"ErrorBudgetBurnsSlowly"}),
    ),
    "ErrorBudgetBurnsSlowly": Case(
        fires=share("errors", (6 * HOUR, 0.0015)),
        quiet=share("errors", (7 * HOUR, 0.0009)),
        minutes=6 * HOUR,
    ),
    "LatencyBudgetBurnsFast": Case(
        fires=share("slow", (6 * HOUR, 0), (HOUR, 0.5)),
        quiet=share("slow", (6 * HOUR, 0), (HOUR, 0.5), (45, 0)),  # it is over
        minutes=7 * HOUR,
        also=frozenset({"LatencyBudgetBurnsSlowly"}),
    ),
    "LatencyBudgetBurnsSlowly": Case(
        fires=share("slow", (6 * HOUR, 0.015)),
        quiet=share("slow", (7 * HOUR, 0.009)),
        minutes=6 * HOUR,
    ),
    "TrafficGone": Case(
        # Somebody looks at the operations page meanwhile.
        fires={
            requests(200): "0+600x60 36000x60",
            requests(500): "0x121",
            requests(200, "/ops"): "0+6x{n}",
        },
        quiet={requests(200): "0x121", requests(500): "0x121"},  # there never was any
        minutes=90,
    ),
    "DatabasePoolFull": Case(fires={CHECKED_OUT: "12x{n}"}, quiet={CHECKED_OUT: "10x{n}"}),
    "DatabasePoolExhausted": Case(
        fires={waited("bucket", ',le="2.5"'): "0+599x{n}"},
        quiet={waited("count"): "600x{n}", waited("bucket", ',le="2.5"'): "0x{n}"},  # long ago
    ),
    "MemoryGrows": Case(
        fires={MEMORY: "300000000+2000000x{n}"},
        quiet={MEMORY: "300000000+500000x{n}"},
        minutes=27 * HOUR,
        step=10,
    ),
    "JobQueueLong": Case(fires={jobs("queued"): "1200x{n}"}, quiet={jobs("queued"): "900x{n}"}),
    "JobsNotExecuted": Case(
        fires={DONE: "7x{n}", jobs("running"): ""},
        quiet={DONE: "7x90 8x{n}", jobs("running"): ""},  # one an hour ago
        minutes=2 * HOUR,
    ),
    "OutboxLags": Case(fires={LAG: "0+10x{n}"}, quiet={LAG: "50x{n}"}),
    "JobsDead": Case(
        fires={jobs("dead"): "3x180 4x{n}"},
        quiet={jobs("dead"): "4x100 3x{n}"},  # one was put back
        minutes=3 * HOUR + 10,
    ),
    "SchedulerWithoutLeader": Case(
        fires={LEADS: "0x{n}"},
        quiet={LEADS: "1x30 0x{n}", OTHER_LEADS: "0x31 1x{n}"},  # it went over
    ),
    "SchedulerWithTwoLeaders": Case(
        fires={OTHER_LEADS: "1x{n}"},
        quiet={LEADS: "1x30 0x{n}", OTHER_LEADS: "0x29 1x{n}"},
    ),
    "TargetDown": Case(
        fires={WORKER_UP: "1x30 0x{n}"},
        quiet={WORKER_UP: "1x30 0 1x{n}"},  # one scrape was lost
    ),
    "NoTargets": Case(
        fires={UP: ""},
        quiet={UP: "0x5 1x{n}"},
    ),
}

# Each pair of windows by itself: the other one does not see it yet, or not as much as it asks for.
ONE_PAIR_OF_WINDOWS: Sequence[tuple[str, Series, int]] = (
    ("ErrorBudgetBurnsFast", share("errors", (6 * HOUR, 0), (20, 0.06)), 6 * HOUR + 20),
    ("ErrorBudgetBurnsFast", share("errors", (6 * HOUR, 0.008)), 6 * HOUR),
    ("LatencyBudgetBurnsFast", share("slow", (6 * HOUR, 0), (20, 0.6)), 6 * HOUR + 20),
    ("LatencyBudgetBurnsFast", share("slow", (6 * HOUR, 0.08)), 6 * HOUR),
)

# Bad in the short window, and too short to matter in the long one.
BURSTS: Mapping[str, Series] = {
    "ErrorBudgetBurnsFast": share("errors", (6 * HOUR, 0), (5, 0.1), (10, 0)),
    "LatencyBudgetBurnsFast": share("slow", (6 * HOUR, 0), (5, 1.0), (10, 0)),
}
BURST_SEEN_AT = 6 * HOUR + 8

# Nobody asks the replicas that were started anew, which so tell of no requests at all.
TRAFFIC_GONE_AND_RESTARTED: Series = {
    requests(200): "0+600x60 36000x5 stale",
    requests(500): "0x65 stale",
}


def series(different: Series, steps: int) -> list[dict[str, str]]:
    """The healthy installation with what is different, for promtool."""
    return [
        {
            "series": name.replace("{{", "{").replace("}}", "}"),
            "values": values.format(n=steps),
        }
        for name, values in {**HEALTHY, **different}.items()
        if values
    ]
