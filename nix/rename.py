"""`make rename NAME=…`: this repository becomes another service's, once.

Distribution, command, image, module, environment defaults and pages get the name; the package's
folder stays `internal/`. Needs Python alone.
"""

import io
import keyword
import os
import re
import shutil
import subprocess
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
# What has a meaning where the name comes to stand: in Nix, in the package set, on the machine.
TAKEN = {
    *("assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"),
    *(
        "default",
        "dev",
        "embedded",
        "hooks",
        "internal",
        "lib",
        "nix",
        "packages",
        "pkgs",
        "python",
    ),
    *("stdenv", "tests"),
    *("balancer", "docker", "haproxy", "migrate", "mysql", "nobody", "podman", "root", "worker"),
}
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


def identifiers(source: str) -> list[tokenize.TokenInfo]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token for token in tokens if token.type == tokenize.NAME]


def renamed_names(source: str, name: str) -> str:
    """Python source with its identifiers renamed: no dash may be in one."""
    lines = source.splitlines(keepends=True)
    for token in reversed(identifiers(source)):
        if OLD in token.string:
            row, start, end = token.start[0] - 1, token.start[1], token.end[1]
            new = token.string.replace(OLD, name.replace("-", "_"))
            lines[row] = lines[row][:start] + new + lines[row][end:]
    return "".join(lines)


def clash(root: Path, name: str) -> str | None:
    """Where an identifier would become one that Python, or the same file, has already."""
    for path in files(root):
        if path.suffix != ".py" or OLD not in (source := path.read_text(encoding="utf-8")).lower():
            continue
        present = {token.string for token in identifiers(source)}
        changing = {each for each in present if OLD in each.lower()}
        new = {renamed(renamed_names(each, name), name) for each in changing}
        if any(keyword.iskeyword(each) or each in present for each in new):
            return str(path.relative_to(root))
    return None


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
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        return (
            f"a name is lower-case letters, digits and single dashes, at most {LONGEST}: {name!r}"
        )
    locked = tomllib.loads((root / "uv.lock").read_text())["package"]
    if name in TAKEN | {package["name"] for package in locked}:
        return f"{name} is the name of a part of it"
    if path := clash(root, name):
        return f"{name} has a meaning in {path}"
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


def tidy(root: Path) -> bool:
    """Shorter and longer lines as the formatter has them; False where it is not there."""
    folders = [str(root / ".venv" / "bin"), os.environ.get("PATH", os.defpath)]
    ruff = shutil.which("ruff", path=os.pathsep.join(folders))
    if ruff is None:
        return False
    for verb in (["format"], ["check", "--fix", "--exit-zero"]):
        command = [ruff, *verb, "--quiet", "--no-cache", "."]
        subprocess.run(command, cwd=root, check=True)  # noqa: S603 - the project's own linter
    return True


def main(name: str = "") -> int:
    root = Path(__file__).parents[1]
    if problem := refusal(root, name):
        sys.stderr.write(f"{problem}\nusage: make rename NAME=order-desk\n")
        return 1
    rename(root, name)
    then = "`make check`" if tidy(root) else "`make fmt`, `make check`"
    sys.stdout.write(f"this is {name} now: look at `git diff`, then {then}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
