"""A CycloneDX bill of materials: the distributions of an environment and its Nix closure.

    python sbom.py DISTRIBUTIONS LOCK REGISTRATION > sbom.json

DISTRIBUTIONS is a JSON list of `{name, version, path, wheel}`, the first of them the
application; `wheel` is the file that was installed, or null for our own source. LOCK is uv.lock.
REGISTRATION is what Nix registers of a closure: paths, hashes, references. Nothing else goes into
the result, no date either: the same closure, the same bytes.
"""

import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

SPECIFICATION = "1.6"
NAME = re.compile(r"^/nix/store/[0-9a-z]{32}-(?P<name>.+?)(?:-(?P<version>\d[^/]*))?$")

type Json = dict[str, object]


class Distribution(TypedDict):
    """One that is installed, as Nix knows it."""

    name: str
    version: str
    path: str
    wheel: str | None


@dataclass(frozen=True)
class StorePath:
    """One entry of the registration."""

    path: str
    nar_hash: str
    references: tuple[str, ...]


def store_paths(registration: str) -> Iterator[StorePath]:
    """Each entry is a path, its hash, its size, its deriver, and its references, a line each."""
    lines = iter(registration.splitlines())
    for path in lines:
        nar_hash, _size, _deriver, count = (next(lines) for _ in range(4))
        references = sorted({next(lines) for _ in range(int(count))} - {path})
        yield StorePath(path, nar_hash.removeprefix("sha256:"), tuple(references))


def locked_hashes(lock: str) -> dict[str, str]:
    """SHA-256 of each wheel in uv.lock, by its file name."""
    return {
        wheel["url"].rsplit("/", 1)[-1]: wheel["hash"].removeprefix("sha256:")
        for package in tomllib.loads(lock)["package"]
        for wheel in package.get("wheels", [])
    }


def python_component(distribution: Distribution, hashes: dict[str, str]) -> Json:
    # What is built from our own source is on no index, whatever else has its name there.
    kind = "pypi" if distribution["wheel"] else "generic"
    component: Json = {
        "type": "library",
        "bom-ref": distribution["path"],
        "name": distribution["name"],
        "version": distribution["version"],
        "purl": f"pkg:{kind}/{distribution['name']}@{distribution['version']}",
        "properties": [{"name": "nix:storePath", "value": distribution["path"]}],
    }
    if distribution["wheel"]:
        content = hashes[distribution["wheel"]]
        component["hashes"] = [{"alg": "SHA-256", "content": content}]
    return component


def store_component(entry: StorePath) -> Json:
    match = NAME.match(entry.path)
    if match is None:
        raise SystemExit(f"no store path: {entry.path}")
    name, version = match["name"], match["version"]
    component: Json = {
        "type": "library",
        "bom-ref": entry.path,
        "name": name,
        "purl": f"pkg:nix/{name}" + (f"@{version}" if version else ""),
        "properties": [
            {"name": "nix:narHash", "value": f"sha256:{entry.nar_hash}"},
            {"name": "nix:storePath", "value": entry.path},
        ],
    }
    return component | ({"version": version} if version else {})


def document(distributions: list[Distribution], lock: str, registration: str) -> Json:
    """The bill. Where a store path is a distribution, it is listed as that, once."""
    closure = sorted(store_paths(registration), key=lambda entry: entry.path)
    hashes = locked_hashes(lock)
    application = distributions[0]
    of_python = {each["path"]: python_component(each, hashes) for each in distributions}
    others = {
        entry.path: store_component(entry) for entry in closure if entry.path not in of_python
    }
    components = of_python | others
    subject = components.pop(application["path"]) | {"type": "application"}
    identity = "\n".join(f"{entry.path} {entry.nar_hash}" for entry in closure)
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {"component": subject},
        "components": [components[path] for path in sorted(components)],
        "dependencies": [
            {"ref": entry.path, "dependsOn": list(entry.references)} for entry in closure
        ],
    }


def main(distributions: str, lock: str, registration: str) -> None:
    bill = document(
        cast("list[Distribution]", json.loads(Path(distributions).read_text())),
        Path(lock).read_text(),
        Path(registration).read_text(),
    )
    json.dump(bill, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
