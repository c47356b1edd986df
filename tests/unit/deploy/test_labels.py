"""Labels by which rules and dashboard select: a value that nobody tells selects nothing, silently.

The series that alerts are tried on are made up, and would have it all the same.
"""

import re

from internal.app import create_app
from internal.controllers import health, metrics
from internal.controllers.ops import routes as ops
from internal.core.job_status import JobStatus
from internal.infra.metrics import FAMILIES
from tests.conftest import MakeSettings
from tests.unit.deploy.test_dashboard import EXPRESSIONS
from tests.unit.deploy.test_rules import ALL

SELECTING = [*(rule["expr"] for rule in ALL), *EXPRESSIONS]
TEXT = "\n".join(SELECTING)


def test_every_bucket_is_one_that_its_histogram_has() -> None:
    asked = re.findall(r'(\w+)_bucket(?::\w+)?\{[^}]*?\ble="([^"]+)"', TEXT)
    assert {name for name, _ in asked} == {"http_request_duration_seconds", "db_pool_wait_seconds"}
    for name, bound in asked:
        assert bound in {*map(str, FAMILIES[name].bounds), "+Inf"}


def test_every_state_of_jobs_is_one() -> None:
    asked = set(re.findall(r'\bstate="([^"]+)"', TEXT))
    assert asked
    assert asked <= set(JobStatus)


def test_what_is_left_out_of_the_requests_are_routes_and_all_of_operators(
    make_settings: MakeSettings,
) -> None:
    templates = {getattr(route, "path_format", "") for route in create_app(make_settings()).routes}
    operators = {
        route.path_format  # type: ignore[attr-defined] # of APIRoute, as all of ours are
        for router in (health.router, metrics.router, ops.public, ops.router)
        for route in router.routes
    }
    patterns = set(re.findall(r'route!~"([^"]+)"', TEXT))
    assert patterns
    for pattern in patterns:
        for alternative in pattern.split("|"):
            assert any(re.fullmatch(alternative, template) for template in templates), alternative
        assert {each for each in operators if not re.fullmatch(pattern, each)} == set()
