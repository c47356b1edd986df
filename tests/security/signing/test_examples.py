"""The examples of docs/signing.md, run as they stand there against a served app."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from internal.infra.signing import SignedAuth
from tests.security.service_process import ServiceProcess
from tests.security.signing.page import fenced


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("service"), {}) as service:
        yield service


@pytest.fixture(scope="module")
def environment(service: ServiceProcess) -> Mapping[str, str]:
    """What the examples ask for."""
    client_id, secret = service.create_client("billing", "audit:write")
    return {"BASE_URL": service.base_url, "CLIENT_ID": client_id, "CLIENT_SECRET": secret}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("example") / "signed"
    file.write_text(fenced("bash"))
    return file


def run(environment: Mapping[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def data_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    data: dict[str, Any] = json.loads(done.stdout)["data"]
    return data


@pytest.mark.parametrize("query", ["", "?", "?b=2&a=1&a=1", "?q=a+b%20c&empty=&flag", "?x[]={1,2}"])
def test_the_shell_example_signs_a_request_with_any_query(
    environment: Mapping[str, str], script: Path, query: str
) -> None:
    data = data_of(run(environment, "bash", str(script), "GET", f"/v1/internal/whoami{query}"))
    assert data == {"client_id": environment["CLIENT_ID"], "scopes": ["audit:write"]}


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_shell_example_signs_a_body(
    environment: Mapping[str, str], script: Path, tmp_path: Path, end: str
) -> None:
    event = {
        "action": "invoice.cancel",
        "object_type": "invoice",
        "object_id": "2026-0042",
        "details": {"reason": "重复付款 - café"},
    }
    body = tmp_path / "event.json"
    body.write_text(json.dumps(event, ensure_ascii=False, indent=2) + end)
    command = ("bash", str(script), "POST", "/v1/internal/audit-events", str(body))
    assert data_of(run(environment, *command))["details"] == event["details"]


def test_the_shell_example_shows_a_refusal_and_fails(
    environment: Mapping[str, str], script: Path
) -> None:
    wrong = {**environment, "CLIENT_SECRET": "guessed"}
    done = run(wrong, "bash", str(script), "GET", "/v1/internal/whoami")
    assert done.returncode != 0
    assert json.loads(done.stdout)["code"] == 40002


def test_the_httpx_example_prints_the_id_of_a_new_event(environment: Mapping[str, str]) -> None:
    done = run(environment, sys.executable, "-c", fenced("python"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().isdecimal()


@pytest.mark.parametrize(
    "target",
    [
        "/v1/internal/whoami?b=2&a=1&a=1",
        "/v1/internal/whoami?q=a b&é=ü#fragment",
        "/v1/internal/who%61mi?q=%2f%2F",
        "/v1/internal/whoami?",
    ],
)
def test_httpx_signs_what_it_sends_however_a_url_is_spelt(
    environment: Mapping[str, str], target: str
) -> None:
    auth = SignedAuth(environment["CLIENT_ID"], environment["CLIENT_SECRET"])
    reply = httpx.get(environment["BASE_URL"] + target, auth=auth)
    assert (reply.status_code, reply.text) == (200, reply.text)


@pytest.mark.anyio
async def test_httpx_signs_a_streamed_body_of_an_async_client(
    environment: Mapping[str, str],
) -> None:
    event = b'{"action":"invoice.cancel","object_type":"invoice","object_id":"2026-0042"}'

    async def pieces() -> Any:
        for at in range(0, len(event), 10):
            yield event[at : at + 10]

    auth = SignedAuth(environment["CLIENT_ID"], environment["CLIENT_SECRET"])
    async with httpx.AsyncClient(base_url=environment["BASE_URL"], auth=auth) as http:
        reply = await http.post(
            "/v1/internal/audit-events",
            content=pieces(),
            headers={"Content-Type": "application/json"},
        )
    assert reply.status_code == 201


def test_httpx_signs_a_repeated_request_anew(environment: Mapping[str, str]) -> None:
    auth = SignedAuth(environment["CLIENT_ID"], environment["CLIENT_SECRET"])
    with httpx.Client(base_url=environment["BASE_URL"], auth=auth) as http:
        request = http.build_request("GET", "/v1/internal/whoami")
        assert [http.send(request).status_code for _ in range(3)] == [200, 200, 200]


def test_the_secret_is_in_no_line_of_the_log(
    service: ServiceProcess, environment: Mapping[str, str]
) -> None:
    assert "whoami" in service.log
    assert environment["CLIENT_SECRET"] not in service.log
