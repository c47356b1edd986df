"""`make rename NAME=…`: this repository becomes another service's, once.

Distribution, command, image, module, environment defaults and pages get the name; the package's
folder stays `internal/`. Needs Python alone.
"""

import io
import re
import sys
import tokenize
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
    title = "".join(part.capitalize() for part in name.split("-"))
    text = re.sub(rf"(?<=_){OLD}|{OLD}(?=_)", snake, text)
    text = re.sub(OLD + KEPT, name, text)
    return text.replace(OLD.capitalize(), title).replace(OLD.upper(), snake.upper())


def renamed_names(source: str, name: str) -> str:
    """Python source with its identifiers renamed: no dash may be in one."""
    lines = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token in reversed(tokens):
        if token.type == tokenize.NAME and OLD in token.string:
            row, start, end = token.start[0] - 1, token.start[1], token.end[1]
            new = token.string.replace(OLD, name.replace("-", "_"))
            lines[row] = lines[row][:start] + new + lines[row][end:]
    return "".join(lines)


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
        source = renamed_names(text, name) if path.suffix == ".py" else text
        new = renamed(source, name)
        if path == root / "uv.lock":
            new = sorted_lock(new)
        if new != text:
            path.write_text(new, encoding="utf-8")
    # Of no use any more.
    (root / "tests" / "nix" / "test_rename.py").unlink()
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
