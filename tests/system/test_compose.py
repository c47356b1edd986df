"""deploy/compose.yaml, its settings tried on processes of this machine: no registry is needed.

Names and folders of its network are replaced by those of here; all else is as it stands there.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis as RedisClient
from redis.exceptions import RedisError

from tests.servers import DATABASES, HOST, START_SECONDS, DatabaseServer, Redis, free_port, require
from tests.system.conftest import Running
from tests.system.serving import Serving

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder that stands for a container's file system, its secrets made."""
    script = shutil.copy2(DEPLOY / "make-secrets", tmp_path)
    subprocess.run([script], check=True, capture_output=True)
    return tmp_path


def test_a_replica_serves_with_what_it_sets_and_logs_where_the_volume_is(
    running: Running, redis: Redis, here: Path
) -> None:
    database = running(DATABASES[0])
    assert isinstance(database, DatabaseServer)
    (here / "secrets" / "db_password").write_text(database.password)
    (here / "secrets" / "redis_password").write_text(redis.password)
    moved = {
        "DB_HOST": HOST,
        "DB_PORT": database.port,
        "REDIS_HOST": HOST,
        "REDIS_PORT": redis.port,
        "DRAIN_DELAY_SECONDS": 0,
        "AES_SECRET": "",
        "JWT_SECRET": "",
    }
    settings = {
        key: value.replace("/run/secrets", f"{here}/secrets").replace("/var/lib", str(here))
        for key, value in SERVICES["api-1"]["environment"].items()
    }
    with Serving(here / "service", {**settings, **moved}) as serving:
        assert serving.http.get("/readyz").status_code == 200
        forwarded = {"X-Forwarded-For": "203.0.113.7"}
        assert serving.http.get("/version", headers=forwarded).status_code == 200
    logs = list(Path(settings["LOG_DIR"]).iterdir())
    assert len(logs) == 1
    assert '"route":"/version"' in logs[0].read_text().replace('": "', '":"')


def test_the_redis_of_it_wants_the_password_and_keeps_what_it_is_told(here: Path) -> None:
    require(Redis)
    shell, flag, script = SERVICES["redis"]["command"]
    port = free_port()
    (here / "data").mkdir()
    local = (
        script.replace("$$", "$")
        .replace("/run/secrets", f"{here}/secrets")
        .replace("dir /data", f"dir {here}/data\nport {port}\nbind {HOST}")
    )
    path = f"{os.environ['PATH']}:/usr/sbin"
    password = (here / "secrets" / "redis_password").read_text()
    with subprocess.Popen([shell, flag, local], env={"PATH": path}, stdout=subprocess.DEVNULL) as p:
        try:
            client = RedisClient(host=HOST, port=port, password=password, socket_timeout=5)
            wait_for(client)
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert password not in Path(f"/proc/{p.pid}/cmdline").read_text()
            client.close()
        finally:
            p.kill()


def wait_for(client: "RedisClient") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.ping()
        except RedisError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
