"""`make rename NAME=…`: this repository becomes another service's, once.

Distribution, command, image, module, environment defaults and pages get the name; the package's
folder stays `internal/`. Needs Python alone.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

# Backwards, so that a renaming does not rename it.
OLD = "krowdnuorg"[::-1]
NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
# Containers, users of a database and units of systemd take longer ones; lines of the code do not.
LONGEST = 20
# Part of how passwords are hashed, in any service.
KEPT = r"(?!-pw-v)"
FOLDERS = {".ci", ".github"}
LOCKED = re.compile(r"(?=^\[\[package\]\]$)", re.MULTILINE)


def renamed(text: str, name: str) -> str:
    """The text with the old name in all its forms replaced."""
    snake = name.replace("-", "_")
    title = " ".join(name.split("-")).capitalize()
    text = re.sub(rf"(?<=_){OLD}|{OLD}(?=_)", snake, text)
    text = re.sub(OLD + KEPT, name, text)
    return text.replace(OLD.capitalize(), title).replace(OLD.upper(), snake.upper())


def sorted_lock(lock: str) -> str:
    """uv.lock lists packages by name."""
    head, *packages = LOCKED.split(lock)
    last = packages[-1]
    packages = [package.strip("\n") for package in packages]
    packages.sort(key=lambda package: tomllib.loads(package)["package"][0]["name"])
    return head + "\n\n".join(packages) + ("\n" if last.endswith("\n") else "")


def files(root: Path) -> Iterator[Path]:
    """Text files of the repository: hidden folders hold caches, environments and git's own."""
    for path in sorted(root.iterdir()):
        if path.is_symlink() or path.name == "__pycache__":
            continue
        if path.is_dir():
            if not path.name.startswith(".") or path.name in FOLDERS:
                yield from files(path)
        else:
            yield path


def refusal(root: Path, name: str) -> str | None:
    """Why it cannot be done, if it cannot."""
    current = tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"]
    if current != OLD:
        return f"this is {current} already"
    if not NAME.match(name) or len(name) > LONGEST:
        return (
            f"a name is lower-case letters, digits and single dashes, at most {LONGEST}: {name!r}"
        )
    locked = tomllib.loads((root / "uv.lock").read_text())["package"]
    taken = {package["name"] for package in locked} | {"internal", "nix", "python", "tests"}
    if name in taken:
        return f"{name} is the name of a part of it"
    return None


def rename(root: Path, name: str) -> None:
    for path in files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        new = renamed(text, name)
        if path == root / "uv.lock":
            new = sorted_lock(new)
        if new != text:
            path.write_text(new, encoding="utf-8")
    # The environment without Nix is made anew.
    (root / ".venv" / ".synced").unlink(missing_ok=True)


def main(name: str = "") -> int:
    root = Path(__file__).parents[1]
    if problem := refusal(root, name):
        sys.stderr.write(f"{problem}\nusage: make rename NAME=order-desk\n")
        return 1
    rename(root, name)
    sys.stdout.write(f"this is {name} now: look at `git diff`, then `make check`\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
