"""What Prometheus is told to scrape is there in the Compose file, on that port."""

from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
SCRAPES = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"]
TARGETS = [
    target for scrape in SCRAPES for each in scrape["static_configs"] for target in each["targets"]
]
API_PORT = "8000"


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_a_service_that_tells_there(target: str) -> None:
    host, _, port = target.partition(":")
    told_at = SERVICES[host]["environment"].get("METRICS_PORT")
    serves_http = SERVICES[host]["command"] == ["serve"]
    assert port == (told_at or (API_PORT if serves_http else None))


def test_replicas_and_workers_are_among_them() -> None:
    assert {target.partition(":")[0] for target in TARGETS} == {"api-1", "api-2", "worker"}
