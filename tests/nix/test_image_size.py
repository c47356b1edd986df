"""`nix run .#image-size`: what it measures, and when it fails."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from tests.nix.scripts import FOLDER, load

PYTHON = "nix/store/00000000000000000000000000000000-python3-3.12.1"
OURS = "nix/store/11111111111111111111111111111111-groundwork-0.1.0"


@pytest.fixture
def image_size() -> ModuleType:
    return load("image_size")


def pack(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image of three layers: 3 MB of an interpreter, 1 MB of ours, and the last one."""
    layers = {
        "a/layer.tar": pack({f"/{PYTHON}/bin/python3": bytes(3_000_000)}),
        "b/layer.tar": pack({f"/{OURS}/lib/app.py": bytes(1_000_000)}),
        "c/layer.tar": pack({"./etc/hosts": b"127.0.0.1 localhost\n"}),
    }
    manifest = json.dumps([{"Layers": list(layers)}]).encode()
    path = tmp_path / "image.tar"
    path.write_bytes(pack({"manifest.json": manifest} | layers))
    return path


def budget(tmp_path: Path, **most: float) -> str:
    path = tmp_path / "budget.json"
    path.write_text(json.dumps(most))
    return str(path)


def test_each_layer_and_store_path_is_listed_with_its_size(
    image_size: ModuleType, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image_size.main(str(archive)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "python3-3.12.1 (3.00)" in lines[1]  # the heaviest first
    assert "groundwork-0.1.0 (1.00)" in lines[2]
    assert "files of the image itself" in lines[3]
    assert any(line.strip().startswith("total: 4.0") for line in lines)


def test_what_a_change_of_our_code_ships_again_is_our_package_and_the_last_layer(
    image_size: ModuleType, archive: Path
) -> None:
    own = [layer.own for layer in image_size.read(archive)]
    assert own == [False, True, True]


def test_compressed_is_less_than_the_total(image_size: ModuleType, archive: Path) -> None:
    sizes = image_size.weights(image_size.read(archive))
    assert 0 < sizes["own_compressed"] < sizes["compressed"] < sizes["total"] / 100  # zeros


def test_an_image_within_its_budget_passes(
    image_size: ModuleType, archive: Path, tmp_path: Path
) -> None:
    assert image_size.main(str(archive), budget(tmp_path, total=5, compressed=1, own=2)) == 0


@pytest.mark.parametrize("figure", ["total", "compressed", "own", "own_compressed"])
def test_an_image_over_one_figure_of_its_budget_fails_and_names_it(
    image_size: ModuleType,
    archive: Path,
    tmp_path: Path,
    figure: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    most = {"total": 5, "compressed": 1, "own": 2, "own_compressed": 1} | {figure: 0.001}
    assert image_size.main(str(archive), budget(tmp_path, **most)) == 1
    assert f"over budget: {figure}: " in capsys.readouterr().err


def test_a_budget_for_what_is_not_measured_fails(
    image_size: ModuleType, archive: Path, tmp_path: Path
) -> None:
    assert image_size.main(str(archive), budget(tmp_path, totl=5)) == 1


def test_the_budget_of_the_image_names_every_figure(image_size: ModuleType, archive: Path) -> None:
    written = json.loads((FOLDER / "image-budget.json").read_text())
    assert written.keys() == image_size.weights(image_size.read(archive)).keys()
