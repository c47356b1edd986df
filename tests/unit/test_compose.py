"""deploy/compose.yaml: what it sets is known, what it names is there, what it promises is in it."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from internal.config.load_config import load_config
from internal.config.settings import KEYS, SECRET_FIELDS, AppEnv

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "groundwork" in service["image"]}
SECRETS = {name.upper() for name in SECRET_FIELDS}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that deploy/make-secrets makes."""
    folder = tmp_path_factory.mktemp("deploy")
    script = shutil.copy2(DEPLOY / "make-secrets", folder)
    subprocess.run([script], check=True, capture_output=True)
    return folder / "secrets"


def test_there_are_two_replicas_a_worker_and_migrations() -> None:
    assert {name: service["command"][0] for name, service in OURS.items()} == {
        "api-1": "serve",
        "api-2": "serve",
        "migrate": "migrate",
        "worker": "worker",
    }


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_a_known_one(name: str) -> None:
    for key in OURS[name]["environment"]:
        assert key in KEYS or key.removesuffix("_FILE") in SECRETS


@pytest.mark.parametrize("name", OURS)
def test_no_secret_is_in_the_file_itself(name: str) -> None:
    assert not SECRETS & OURS[name]["environment"].keys()


@pytest.mark.parametrize("name", OURS)
def test_production_starts_with_what_it_sets(name: str, secrets: Path) -> None:
    environment = {
        key: value.replace("/run/secrets", str(secrets))
        for key, value in OURS[name]["environment"].items()
    }
    settings = load_config({**environment, "CONFIG_DIR": str(ROOT / "configs")}).settings
    assert settings.app_env is AppEnv.PROD
    assert settings.db_password is not None


@pytest.mark.parametrize("name", OURS)
def test_the_image_is_this_release(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert OURS[name]["image"] == f"${{GROUNDWORK_IMAGE:-{project['name']}:{project['version']}}}"


def test_every_secret_is_made_used_and_declared(secrets: Path) -> None:
    made = {path.name for path in secrets.iterdir()}
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert made == used == COMPOSE["secrets"].keys()
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    for service in OURS.values():
        for value in service["environment"].values():
            if value.startswith("/run/secrets/"):
                assert Path(value).name in service["secrets"]


def test_secrets_that_are_there_are_kept(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run([secrets.parent / "make-secrets"], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert len(set(before.values())) == len(before)
    assert secrets.stat().st_mode & 0o777 == 0o700


def test_git_never_sees_the_secrets() -> None:
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_data_exports_and_logs_are_volumes() -> None:
    mounts = {
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if not mount.startswith(".")
    }
    assert mounts == COMPOSE["volumes"].keys() == {"exports", "logs", "mysql", "redis"}
    for service in OURS.values():
        targets = {mount.split(":")[1] for mount in service["volumes"]}
        assert targets == {service["environment"][key] for key in ("LOG_DIR", "EXPORT_DIR")}


@pytest.mark.parametrize("name", SERVICES)
def test_each_has_limits(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}


@pytest.mark.parametrize("name", [*OURS, "balancer", "redis"])
def test_ours_the_balancer_and_redis_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_redis_is_not_root_whatever_its_command_is() -> None:
    redis = SERVICES["redis"]
    assert redis["command"][0] != "redis-server"  # the one command that its image leaves root for
    assert redis["user"] == "redis"


def test_nothing_serves_before_the_migrations_and_the_balancer_waits_for_the_replicas() -> None:
    for name in ("api-1", "api-2", "worker"):
        waits = SERVICES[name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
        assert waits["mysql"] == waits["redis"] == {"condition": "service_healthy"}
    assert SERVICES["balancer"]["depends_on"] == {
        name: {"condition": "service_healthy"} for name in ("api-1", "api-2")
    }
    for name in ("mysql", "redis", "balancer"):
        assert "test" in SERVICES[name]["healthcheck"]


def test_a_stop_is_given_the_time_that_it_takes() -> None:
    for service in OURS.values():
        environment = service["environment"]
        seconds = int(environment["DRAIN_DELAY_SECONDS"]) + int(
            environment["SHUTDOWN_GRACE_SECONDS"]
        )
        assert int(service["stop_grace_period"].removesuffix("s")) > seconds + 10


def test_the_balancer_is_the_proxy_that_is_trusted() -> None:
    (network,) = COMPOSE["networks"]["backend"]["ipam"]["config"]
    for service in OURS.values():
        assert service["environment"]["TRUSTED_PROXIES"] == network["subnet"]


def test_only_the_balancer_listens_outside_and_only_on_the_loopback_interface() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"balancer": ["127.0.0.1:8080:8080"]}


def test_the_balancer_knows_every_replica() -> None:
    text = (DEPLOY / "haproxy.cfg").read_text()
    assert re.findall(r"^    server (\S+) (\S+)$", text, re.MULTILINE) == [
        ("api-1", "api-1:8000"),
        ("api-2", "api-2:8000"),
    ]
    assert "bind :8080\n" in text
    assert "option httpchk GET /readyz\n" in text
