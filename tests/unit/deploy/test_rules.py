"""deploy/prometheus: what Prometheus says of it, and when which alert fires."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.alert_cases import (
    BURST_SEEN_AT,
    BURSTS,
    CASES,
    HOUR,
    ONE_PAIR_OF_WINDOWS,
    TRAFFIC_GONE_AND_RESTARTED,
    Series,
    series,
)
from tests.unit.deploy.promtool import PROMETHEUS, ROOT, RULES, metrics_in, run_promtool, told

GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALL: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
RECORDED = {rule["record"] for rule in ALL if "record" in rule}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def expect(
    folder: Path, given: Series, minutes: int, firing: set[str], *, step: int = 1, among: str = ".*"
) -> None:
    """Plays the series and compares the alerts that fire after so many minutes.

    Args:
        among: a pattern of the alerts that are looked at.
    """
    test = {
        "interval": f"{step}m",
        "input_series": series(given, minutes // step),
        "promql_expr_test": [
            {
                "expr": f'max by (alertname) (ALERTS{{alertstate="firing",alertname=~"{among}"}})',
                "eval_time": f"{minutes}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(firing)
                ],
            }
        ],
    }
    whole = {"rule_files": [str(RULES)], "evaluation_interval": f"{step}m", "tests": [test]}
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump(whole))
    run_promtool("test", "rules", file)


def test_prometheus_accepts_the_rules() -> None:
    run_promtool("check", "rules", RULES)


def test_prometheus_accepts_the_configuration_and_finds_the_rules() -> None:
    run_promtool("check", "config", PROMETHEUS / "prometheus.yaml")


def test_every_alert_is_tried_in_both_directions() -> None:
    assert CASES.keys() == ALERTS.keys()
    assert all(case.fires and case.quiet for case in CASES.values())


def test_a_healthy_installation_raises_no_alert_in_six_hours(tmp_path: Path) -> None:
    expect(tmp_path, {}, 6 * HOUR, set())


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires(tmp_path: Path, alert: str) -> None:
    case = CASES[alert]
    expect(tmp_path, case.fires, case.minutes, {alert, *case.also}, step=case.step)


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_does_not_fire_at_what_is_nearly_as_bad(tmp_path: Path, alert: str) -> None:
    case = CASES[alert]
    expect(tmp_path, case.quiet, case.minutes + 45, set(), step=case.step, among=alert)


@pytest.mark.parametrize(("alert", "given", "minutes"), ONE_PAIR_OF_WINDOWS)
def test_a_budget_that_burns_fires_by_each_pair_of_windows(
    tmp_path: Path, alert: str, given: Series, minutes: int
) -> None:
    expect(tmp_path, given, minutes, {alert}, among=alert)


@pytest.mark.parametrize("alert", BURSTS)
def test_a_burst_that_hardly_touches_the_budget_calls_nobody(tmp_path: Path, alert: str) -> None:
    expect(tmp_path, BURSTS[alert], BURST_SEEN_AT, set(), among=alert)


def test_traffic_that_is_gone_is_told_of_replicas_that_were_restarted_too(tmp_path: Path) -> None:
    expect(tmp_path, TRAFFIC_GONE_AND_RESTARTED, 90, {"TrafficGone"})


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_happened_and_where_it_is_written_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{alert.lower()}"
    _, _, section = OPERATIONS.partition(f"\n### {alert}\n")
    assert re.match(r"\s*[A-Z].+\. First: [a-z`]", section.partition("\n#")[0], re.DOTALL)


def test_the_runbook_has_no_alert_that_there_is_not() -> None:
    assert set(re.findall(r"^### (\w+)$", OPERATIONS, re.MULTILINE)) == ALERTS.keys()


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_uses_only_what_the_service_tells(rule: dict[str, Any]) -> None:
    used = metrics_in(rule["expr"])
    assert used
    assert used <= told() | RECORDED | {"up"}
