"""The bill of materials: valid, complete, the same every time.

With SBOM and VENV in the environment (`nix flake check`), of the image that was built; else of the
environment that runs this, with a closure made up for it.
"""

import importlib.metadata
import json
import os
import re
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.nix.scripts import load

LOCK = (Path(__file__).parents[2] / "uv.lock").read_text()
LOCKED = {package["name"]: package for package in tomllib.loads(LOCK)["package"]}
HASHES = {
    name: {wheel["hash"] for wheel in package.get("wheels", [])} for name, package in LOCKED.items()
}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def store_path(name: str) -> str:
    return f"/nix/store/{'0' * 32}-{name}"


def installed(site_packages: str) -> dict[str, str]:
    found = importlib.metadata.distributions(path=[site_packages])
    return {normalized(each.metadata["Name"]): each.version for each in found}


def made_up_inputs() -> tuple[list[dict[str, Any]], str]:
    """Distributions and a registration of the environment that runs this."""
    present = installed(sysconfig.get_path("purelib"))
    names = ["groundwork", *sorted(present.keys() - {"groundwork"})]
    distributions = [
        {
            "name": name,
            "version": present[name],
            "path": store_path(f"{name}-{present[name]}"),
            "wheel": next(
                (wheel["url"].rsplit("/", 1)[-1] for wheel in LOCKED[name].get("wheels", [])), None
            ),
        }
        for name in names
        if name in LOCKED
    ]
    glibc, env = store_path("glibc-2.42"), store_path("groundwork-env")
    paths = [str(each["path"]) for each in distributions]
    entries = [(glibc, [glibc]), *((path, [glibc]) for path in paths)]
    entries.append((env, [path for path, _ in entries]))
    registration = "".join(
        "\n".join([path, "sha256:aa", "1", "", str(len(references)), *references]) + "\n"
        for path, references in entries
    )
    return distributions, registration


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    if built := os.environ.get("SBOM"):
        document: dict[str, Any] = json.loads(Path(built).read_text())
        return document
    distributions, registration = made_up_inputs()
    made: dict[str, Any] = load("sbom").document(distributions, LOCK, registration)
    return made


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What is installed: versions by name."""
    if venv := os.environ.get("VENV"):
        (site_packages,) = Path(venv).glob("lib/python3*/site-packages")
        return installed(str(site_packages))
    return {
        name: version
        for name, version in installed(sysconfig.get_path("purelib")).items()
        if name in LOCKED
    }


def everything(bill: dict[str, Any]) -> list[dict[str, Any]]:
    return [bill["metadata"]["component"], *bill["components"]]


def of_python(bill: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in bill["components"] if each["purl"].startswith("pkg:pypi/")]


def test_it_is_valid_cyclonedx(bill: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None


def test_what_is_not_cyclonedx_is_told_from_it(bill: dict[str, Any]) -> None:
    damaged = bill | {"components": [{"name": "nameless type"}]}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(damaged)) is not None


def test_every_distribution_of_the_environment_is_listed_and_no_other(
    bill: dict[str, Any], environment: dict[str, str]
) -> None:
    assert len(environment) > 20
    listed = {each["name"]: each["version"] for each in of_python(bill)}
    application = bill["metadata"]["component"]
    assert listed | {application["name"]: application["version"]} == environment


def test_a_distribution_has_a_purl_and_the_hash_of_its_wheel_in_the_lock(
    bill: dict[str, Any],
) -> None:
    for each in of_python(bill):
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        (digest,) = each["hashes"]
        assert f"sha256:{digest['content']}" in HASHES[each["name"]]


def test_our_own_distribution_claims_to_be_on_no_index(bill: dict[str, Any]) -> None:
    application = bill["metadata"]["component"]
    assert application["type"] == "application"
    assert application["purl"] == f"pkg:generic/groundwork@{application['version']}"


def test_the_closure_is_listed_with_store_paths_and_versions(bill: dict[str, Any]) -> None:
    of_nix = [each for each in bill["components"] if each["purl"].startswith("pkg:nix/")]
    assert "groundwork-env" in {each["name"] for each in of_nix}
    assert any("version" in each for each in of_nix)
    for each in everything(bill):
        (path,) = (p["value"] for p in each["properties"] if p["name"] == "nix:storePath")
        assert path == each["bom-ref"]
        assert path.startswith("/nix/store/")
        if "version" in each:
            assert path.endswith(f"-{each['version']}")


def test_every_reference_is_to_something_listed(bill: dict[str, Any]) -> None:
    listed = {each["bom-ref"] for each in everything(bill)}
    assert len(listed) == len(everything(bill))
    for dependency in bill["dependencies"]:
        assert dependency["ref"] in listed
        assert set(dependency["dependsOn"]) <= listed - {dependency["ref"]}


def test_the_same_closure_gives_the_same_bill_and_another_one_another_serial_number() -> None:
    sbom = load("sbom")
    distributions, registration = made_up_inputs()
    first = sbom.document(distributions, LOCK, registration)
    assert first == sbom.document(distributions, LOCK, registration)
    other = sbom.document(distributions, LOCK, registration.replace("sha256:aa", "sha256:bb"))
    assert other["serialNumber"] != first["serialNumber"]


def test_it_carries_no_date(bill: dict[str, Any]) -> None:
    assert "timestamp" not in json.dumps(bill)


def test_a_wheel_that_the_lock_does_not_have_is_an_error() -> None:
    distributions, registration = made_up_inputs()
    distributions[1]["wheel"] = "stranger-1.0-py3-none-any.whl"
    with pytest.raises(KeyError, match="stranger"):
        load("sbom").document(distributions, LOCK, registration)
