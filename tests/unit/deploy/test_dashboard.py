"""deploy/grafana/groundwork.json: whole, of itself, and asking only for what there is."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from internal.infra.metrics import FAMILIES
from tests.unit.deploy.promtool import ROOT, RULES, metrics_in, run_promtool, told

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/groundwork.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
TARGETS = [target for panel in PANELS for target in panel.get("targets", ())]
EXPRESSIONS = [target["expr"].replace("$__rate_interval", "5m") for target in TARGETS]


def test_every_expression_is_one(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(EXPRESSIONS)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run_promtool("check", "rules", file)


def test_it_asks_only_for_what_is_told_or_recorded() -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    assert metrics_in(" ".join(EXPRESSIONS)) <= told() | recorded | {"up"}


def test_it_shows_everything_that_is_told() -> None:
    shown = metrics_in(" ".join(EXPRESSIONS))
    for name, family in FAMILIES.items():
        assert (f"{name}_bucket" if family.bounds else name) in shown


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_its_data_source_is_the_one_that_is_chosen() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    asked = [part for part in (*PANELS, *TARGETS, *variables.values()) if "datasource" in part]
    assert asked
    assert {part["datasource"]["uid"] for part in asked} == {"${datasource}"}


def test_it_names_no_host() -> None:
    assert re.findall(r"\w+://[^\"]+", json.dumps(DASHBOARD)) == []
