"""The units that `nixosModules.default` renders.

MODULE names what nix/checks/module.nix evaluated: `nix flake check` gives it.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from internal.config.settings import KEYS, SECRET_FIELDS

ROOT = Path(__file__).parents[2]
MODULE = os.environ.get("MODULE")

pytestmark = pytest.mark.skipif(MODULE is None, reason="`nix flake check` evaluates the module")

# systemd's own scale, from 0 (sealed) to 10.
EXPOSURE = {"services": 1.3, "preparations": 2.0}
SERVICES = ["groundwork", "groundwork-worker", "groundwork-scheduler", "groundwork-migrate"]
PREPARATIONS = ["groundwork-secrets", "groundwork-database"]


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    assert MODULE is not None
    evaluated: dict[str, Any] = json.loads(Path(MODULE).read_text())
    return evaluated


def rendered(unit: dict[str, Any]) -> Iterator[str]:
    """The unit file, the way NixOS writes one."""

    def lines(section: dict[str, Any]) -> Iterator[str]:
        for key, value in sorted(section.items()):
            for each in value if isinstance(value, list) else [value]:
                yield f"{key}={str(each).lower() if isinstance(each, bool) else each}"

    yield "[Unit]"
    yield f"Description={unit['description']}"
    for key in ("after", "before", "requires", "wants"):
        yield f"{key.capitalize()}={' '.join(unit[key])}"
    yield from lines(unit["unitConfig"])
    yield "[Service]"
    for key, value in sorted(unit["environment"].items()):
        yield f'Environment="{key}={value}"'
    yield from lines(unit["serviceConfig"])
    if unit["script"]:
        yield "ExecStart=/bin/sh -c script"


@pytest.fixture
def unit_files(cases: dict[str, Any], tmp_path: Path) -> dict[str, Path]:
    files = {}
    for name, unit in cases["local"]["units"].items():
        files[name] = tmp_path / f"{name}.service"
        files[name].write_text("\n".join(rendered(unit)) + "\n")
    return files


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    assert tool is not None
    return subprocess.run(
        [tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_three_services_wait_for_the_migrations_and_those_for_the_servers(
    cases: dict[str, Any],
) -> None:
    units = cases["local"]["units"]
    for name in ("groundwork", "groundwork-worker", "groundwork-scheduler"):
        assert "groundwork-migrate.service" in units[name]["after"]
        assert "groundwork-migrate.service" in units[name]["requires"]
    migrate = units["groundwork-migrate"]
    servers = {"groundwork-database.service", "redis-groundwork.service"}
    assert servers <= set(migrate["after"])
    assert servers <= set(migrate["wants"])
    assert not servers & {*migrate["requires"], *units["groundwork"]["requires"]}
    assert migrate["serviceConfig"]["Type"] == "oneshot"
    assert migrate["serviceConfig"]["RestartMode"] == "direct"


def test_each_runs_its_own_command(cases: dict[str, Any]) -> None:
    units = cases["remote"]["units"]
    starts = {name: unit["serviceConfig"]["ExecStart"] for name, unit in units.items()}
    assert starts["groundwork"].endswith("/bin/groundwork serve")
    assert starts["groundwork-migrate"].endswith("/bin/groundwork migrate")
    assert starts["groundwork-worker"].endswith(
        "/bin/groundwork worker --queues webhooks --concurrency 3"
    )
    scheduler = cases["local"]["units"]["groundwork-scheduler"]["serviceConfig"]["ExecStart"]
    assert scheduler.endswith("/bin/groundwork scheduler")


def test_each_of_the_three_can_be_left_out(cases: dict[str, Any]) -> None:
    services = {"groundwork", "groundwork-worker", "groundwork-scheduler"}
    assert services & cases["workerOnly"]["units"].keys() == {"groundwork-worker"}
    assert "groundwork-worker" not in cases["apiOnly"]["units"]
    assert "groundwork-scheduler" not in cases["remote"]["units"]


def test_the_api_is_no_scheduler_where_there_is_one(cases: dict[str, Any]) -> None:
    assert cases["local"]["units"]["groundwork"]["environment"]["SCHEDULER_ENABLED"] == "false"
    assert "SCHEDULER_ENABLED" not in cases["remote"]["units"]["groundwork"]["environment"]


def test_settings_reach_the_environment_in_the_form_that_the_service_reads(
    cases: dict[str, Any],
) -> None:
    environment = cases["remote"]["units"]["groundwork-worker"]["environment"]
    assert environment["APP_ENV"] == "prod"
    assert environment["PORT"] == "8080"
    assert environment["METRICS_ENABLED"] == "false"
    assert environment["TRUSTED_PROXIES"] == "10.0.0.0/8,192.168.0.0/16"
    others = {"CONFIG_DIR", "PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE"}
    assert environment.keys() - others <= set(KEYS)


def test_secrets_are_credentials_and_nothing_else(cases: dict[str, Any]) -> None:
    for name in SERVICES[:2]:
        unit = cases["remote"]["units"][name]
        assert unit["serviceConfig"]["LoadCredential"] == [
            "AES_SECRET:/run/keys/aes",
            "DB_PASSWORD:/run/keys/db",
            "JWT_SECRET:/run/keys/jwt",
            "REDIS_PASSWORD:/run/keys/redis",
        ]
        assert not {*unit["environment"]} & {name.upper() for name in SECRET_FIELDS}
        assert "EnvironmentFile" not in unit["serviceConfig"]


def test_passwords_of_servers_on_the_machine_are_made_there_and_reach_both_ends(
    cases: dict[str, Any],
) -> None:
    local = cases["local"]
    made = "/var/lib/groundwork-secrets"
    credentials = local["units"]["groundwork"]["serviceConfig"]["LoadCredential"]
    assert f"DB_PASSWORD:{made}/DB_PASSWORD" in credentials
    assert f"REDIS_PASSWORD:{made}/REDIS_PASSWORD" in credentials
    assert local["redis"]["groundwork"]["requirePassFile"] == f"{made}/REDIS_PASSWORD"
    assert local["units"]["groundwork-database"]["serviceConfig"]["LoadCredential"] == [
        f"DB_PASSWORD:{made}/DB_PASSWORD"
    ]
    makes = local["units"]["groundwork-secrets"]
    assert makes["before"] == makes["requiredBy"] == ["redis-groundwork.service"]
    assert makes["serviceConfig"]["UMask"] == "0077"


def test_a_password_that_is_given_is_not_made(cases: dict[str, Any]) -> None:
    unit = cases["apiOnly"]["units"]
    assert "DB_PASSWORD" not in unit["groundwork-secrets"]["script"]
    assert unit["groundwork-database"]["serviceConfig"]["LoadCredential"] == [
        "DB_PASSWORD:/run/keys/db"
    ]


def test_the_redis_of_the_machine_forgets_and_evicts_nothing(cases: dict[str, Any]) -> None:
    redis = cases["local"]["redis"]["groundwork"]
    assert redis["settings"]["maxmemory-policy"] == "noeviction"
    assert redis["appendOnly"] is True
    assert redis["bind"] == "127.0.0.1"


def test_servers_elsewhere_are_not_run_here(cases: dict[str, Any]) -> None:
    assert cases["remote"]["mysql"]["enable"] is False
    assert cases["remote"]["redis"] == {}
    assert "groundwork-secrets" not in cases["remote"]["units"]


def test_the_port_is_opened_when_asked_for_and_listened_on(cases: dict[str, Any]) -> None:
    assert cases["remote"]["ports"] == [8080]
    assert cases["remote"]["units"]["groundwork"]["environment"]["HOST"] == "0.0.0.0"
    assert cases["local"]["ports"] == []
    assert cases["local"]["units"]["groundwork"]["environment"]["HOST"] == "127.0.0.1"


def test_the_api_is_up_when_it_is_ready(cases: dict[str, Any]) -> None:
    gate = cases["remote"]["units"]["groundwork"]["serviceConfig"]["ExecStartPost"]
    script = Path(gate).read_text()
    assert "http://127.0.0.1:8080/readyz" in script
    assert "--fail" in script


def test_a_stop_has_longer_than_the_service_takes(cases: dict[str, Any]) -> None:
    settings = (ROOT / "configs" / ".env.prod").read_text()
    seconds = [
        int(match[1])
        for key in ("DRAIN_DELAY_SECONDS", "SHUTDOWN_GRACE_SECONDS")
        if (match := re.search(rf"^{key}=(\d+)$", settings, re.MULTILINE))
    ]
    assert len(seconds) == 2
    for name in SERVICES[:3]:
        service = cases["local"]["units"][name]["serviceConfig"]
        assert service["TimeoutStopSec"] > sum(seconds) + 10
        assert service["KillMode"] == "mixed"
        assert service["MemoryMax"]
        assert service["TasksMax"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("empty", ["AES_SECRET", "JWT_SECRET", "DB_PASSWORD", "DB_HOST", "REDIS_HOST"]),
        ("leaky", ["world-readable: DB_PASSWORD", "LOG_LEVEL is no secret"]),
        ("mistyped", ["LOG_LEVLE is no setting", "settings.DB_DATABASE: letters"]),
    ],
)
def test_what_cannot_work_or_would_leak_is_refused_by_name(
    cases: dict[str, Any], case: str, words: list[str]
) -> None:
    messages = "\n".join(cases[case]["failed"])
    assert all(word in messages for word in words)


def test_values_of_a_wrong_type_are_refused(cases: dict[str, Any]) -> None:
    refused = cases["refused"]
    assert len(refused) > 5
    assert [what for what, was in refused.items() if not was] == ["nothing"]


def test_every_secret_of_the_service_is_taken_and_kept_out_of_the_settings() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \| .* \| (yes)? \| .*$", text, re.MULTILINE)
    assert {key for key, _ in rows} == set(KEYS)
    assert {key for key, secret in rows if secret} == {name.upper() for name in SECRET_FIELDS}


def test_other_ports_and_addresses_reach_servers_and_gate(cases: dict[str, Any]) -> None:
    case = cases["unusual"]
    assert case["mysql"]["settings"]["mysqld"]["port"] == 3307
    assert case["redis"]["groundwork"]["port"] == 6380
    gate = Path(case["units"]["groundwork"]["serviceConfig"]["ExecStartPost"]).read_text()
    assert "http://[::1]:8000/readyz" in gate
    credentials = case["units"]["groundwork"]["serviceConfig"]["LoadCredential"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT:/run/keys/otel" in credentials


def test_a_percent_sign_is_no_specifier_of_systemd(cases: dict[str, Any]) -> None:
    environment = cases["unusual"]["units"]["groundwork"]["environment"]
    assert environment["JWT_ISSUER"] == "100%%h \"of\" 'it' $HOME"


@pytest.mark.parametrize("case", ["remote", "local", "apiOnly", "workerOnly", "unusual"])
def test_what_works_is_not_refused(cases: dict[str, Any], case: str) -> None:
    assert cases[case]["failed"] == []


def test_systemd_knows_every_directive(unit_files: dict[str, Path]) -> None:
    for path in unit_files.values():
        result = analyze("verify", "--man=no", "--recursive-errors=no", path)
        complaints = [line for line in result.stderr.splitlines() if path.name in line]
        # Units of NixOS are not here, and neither is the shell of a script.
        known = [line for line in complaints if "not executable" not in line]
        assert known == []


def test_systemd_tells_a_directive_that_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "wrong.service"
    path.write_text("[Service]\nExecStart=/bin/true\nProtectEverything=yes\n")
    result = analyze("verify", "--man=no", "--recursive-errors=no", path)
    assert "ProtectEverything" in result.stderr


@pytest.mark.parametrize("name", [*SERVICES, *PREPARATIONS])
def test_the_exposure_that_systemd_computes_is_small(
    unit_files: dict[str, Path], name: str
) -> None:
    most = EXPOSURE["services" if name in SERVICES else "preparations"]
    result = analyze("security", "--offline=true", f"--threshold={most * 10:.0f}", unit_files[name])
    assert "Overall exposure level" in result.stdout
    assert result.returncode == 0, result.stdout


def test_root_has_the_command_with_the_settings_secrets_and_user_of_the_services(
    cases: dict[str, Any], tmp_path: Path
) -> None:
    told = tmp_path / "systemd-run"
    told.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    told.chmod(0o755)
    case = cases["remote"]
    (folder,) = case["programs"]
    done = subprocess.run(
        [f"{folder}/groundwork", "users", "create-admin", "ada"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    arguments = done.stdout.splitlines()
    unit = case["units"]["groundwork-migrate"]
    for key, value in unit["environment"].items():
        assert f"--setenv={key}={value}" in arguments
    for credential in unit["serviceConfig"]["LoadCredential"]:
        assert f"--property=LoadCredential={credential}" in arguments
    assert f"--property=User={unit['serviceConfig']['User']}" in arguments
    assert "--property=DynamicUser=true" in arguments
    after = arguments[arguments.index("--") + 1 :]
    assert after == [
        unit["serviceConfig"]["ExecStart"].split()[0],
        *("users", "create-admin", "ada"),
    ]
