"""The OpenAPI document is true: what schemathesis sends gets a reply that is described there.

All of its checks, on the whole document, over a socket, on MariaDB and Redis, signed in as each
role: no 5xx, no reply that is not described, nothing that the schema refuses let in, no route open
that should be closed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.security.service_process import ServiceProcess
from tests.servers import MariaDB, Redis, require

ROOT = Path(__file__).parents[3]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
# Of each operation and phase, beside those for the bounds of every field: more find more.
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "4")
UNLIMITED = {"RATE_LIMIT_DEFAULT": "1000000/minute", "RATE_LIMIT_AUTH": "1000000/minute"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServiceProcess]:
    require(MariaDB)
    require(Redis)
    folder = tmp_path_factory.mktemp("service")
    with (
        MariaDB() as database,
        Redis() as redis,
        ServiceProcess(
            folder,
            {**database.environment(), **redis.environment(), **UNLIMITED},
            serve=("-m", "tests.security.schemathesis.served"),
        ) as service,
    ):
        yield service


@pytest.mark.parametrize("role", ["nobody", "user", "admin", "client"])
def test_every_reply_is_one_that_the_document_describes(
    service: ServiceProcess, tmp_path: Path, role: str
) -> None:
    client_id, secret = service.create_client(role, "audit:write")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
            *("--config-file", str(CONFIGURATION)),
            *("run", str(ROOT / "docs" / "openapi.json"), "--url", service.base_url),
            *("--checks", "all", "--max-examples", EXAMPLES, "--seed", "1"),
            "--continue-on-failure",
        ],
        env={
            **service.environment,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "SCHEMATHESIS_HOOKS": "tests.security.schemathesis.hooks",
            "SIGNED_IN_AS": role,
            "BASE_URL": service.base_url,
            "CLIENT_ID": client_id,
            "CLIENT_SECRET": secret,
        },
        cwd=tmp_path,  # where it keeps a cache
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    assert int(tested[1]) == len(
        re.findall(r"operationId", (ROOT / "docs/openapi.json").read_text())
    )


def test_nothing_was_an_internal_error(service: ServiceProcess) -> None:
    assert '"logger":"access"' in service.log
    assert not re.findall(r'"status":5\d\d', service.log)
    assert "unhandled exception" not in service.log
