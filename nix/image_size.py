"""What a docker archive weighs, by layer and by store path, and whether it keeps its budget.

    python image_size.py ARCHIVE [BUDGET]

BUDGET is a JSON file of megabytes (10**6 bytes): `total` for all layers, `compressed` for what a
registry makes of them, `own` and `own_compressed` for the layers that a change of our code ships
again. Exits 1 where one is exceeded, naming it.
"""

import json
import re
import sys
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

MEGABYTE = 1_000_000
CHUNK = 1 << 20
STORE_PATH = re.compile(r"^/?nix/store/[0-9a-z]{32}-([^/]+)")
# Our package, and the environment that links to it; the last layer has no store path.
OWN = re.compile(r"^groundwork-")


@dataclass
class Layer:
    """One layer. Sizes in bytes; `paths` holds the sizes of the files of each store path in it."""

    size: int = 0
    compressed: int = 0
    paths: Counter[str] = field(default_factory=Counter)

    @property
    def own(self) -> bool:
        """Whether it changes with our code."""
        return not self.paths or any(OWN.match(path) for path in self.paths)


def read(archive: Path) -> list[Layer]:
    """The layers, in the order of the manifest."""
    with tarfile.open(archive) as image:
        (manifest,) = json.load(member(image, "manifest.json"))
        return [layer(image, name) for name in manifest["Layers"]]


def layer(image: tarfile.TarFile, name: str) -> Layer:
    result = Layer()
    packer = zlib.compressobj()
    with member(image, name) as packed:
        for chunk in iter(lambda: packed.read(CHUNK), b""):
            result.size += len(chunk)
            result.compressed += len(packer.compress(chunk))
    result.compressed += len(packer.flush())
    with member(image, name) as packed, tarfile.open(fileobj=packed) as files:
        for entry in files:
            if match := STORE_PATH.match(entry.name):
                result.paths[match[1]] += entry.size
    return result


def member(image: tarfile.TarFile, name: str) -> IO[bytes]:
    packed = image.extractfile(name)
    if packed is None:
        raise SystemExit(f"{name} is no file of the archive")
    return packed


def weights(layers: list[Layer]) -> dict[str, int]:
    """The figures that a budget is about, in bytes."""
    own = [layer for layer in layers if layer.own]
    return {
        "total": sum(layer.size for layer in layers),
        "compressed": sum(layer.compressed for layer in layers),
        "own": sum(layer.size for layer in own),
        "own_compressed": sum(layer.compressed for layer in own),
    }


def table(layers: list[Layer]) -> Iterator[str]:
    yield f"{'layer':>5} {'MB':>8} {'gzip':>8}  store path (MB of its files)"
    for number, each in sorted(enumerate(layers, 1), key=lambda item: -item[1].size):
        mark = "*" if each.own else " "
        sizes = ", ".join(
            f"{path} ({size / MEGABYTE:.2f})" for path, size in each.paths.most_common()
        )
        yield (
            f"{number:>5} {each.size / MEGABYTE:>8.2f} {each.compressed / MEGABYTE:>8.2f}"
            f"{mark} {sizes or 'files of the image itself'}"
        )
    for name, size in weights(layers).items():
        yield f"{name:>14}: {size / MEGABYTE:.2f} MB"
    yield "* shipped again when our code changes"


def exceeded(layers: list[Layer], budget: dict[str, float]) -> list[str]:
    """What is over the budget, a line each."""
    sizes = weights(layers)
    unknown = [f"the budget names {name}, which is not measured" for name in budget.keys() - sizes]
    return unknown + [
        f"{name}: {sizes[name] / MEGABYTE:.2f} MB, and the budget is {most} MB"
        for name, most in budget.items()
        if name in sizes and sizes[name] > most * MEGABYTE
    ]


def main(archive: str, budget: str | None = None) -> int:
    layers = read(Path(archive))
    sys.stdout.writelines(f"{line}\n" for line in table(layers))
    problems = exceeded(layers, json.loads(Path(budget).read_text())) if budget else []
    sys.stderr.writelines(f"over budget: {problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
