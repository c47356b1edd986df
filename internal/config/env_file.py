"""Files of the configuration: `KEY=value` lines, and secrets that are a file each."""

import difflib
import re
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from dotenv.parser import Original, parse_stream

from internal.config.settings import KEYS

_NAME = re.compile(r"[A-Z]+(_[A-Z]+)+")  # words: what no random text looks like


@dataclass(frozen=True)
class Value:
    """A raw value and the source it came from, as people name it."""

    text: str = field(repr=False)
    source: str


def is_there(path: Path) -> bool:
    """Also true of what may not be looked at: reading it then says why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def read_text(path: Path, what: str, problems: list[str]) -> str | None:
    try:
        return path.read_bytes().decode()  # line ends stay: one may be a part of a password
    except OSError as error:
        problems.append(f"{what} {path}, which cannot be read: {error.strerror}; check it")
    except UnicodeDecodeError:
        problems.append(f"{what} {path}, which is not UTF-8; save it as UTF-8")
    return None


def read_env_file(path: Path, problems: list[str]) -> dict[str, Value]:
    """KEY=value lines, without interpolation: a `$` in a password is a `$`."""
    text = read_text(path, f"{path.name}: the file", problems)
    found: dict[str, Value] = {}
    for binding in parse_stream(StringIO(text or "")):
        line = f"{path} line {_line_number(binding.original)}"
        if binding.error or (binding.key and binding.value is None):
            problems.append(f"{line}: not a KEY=value line; correct it")
        elif binding.key is None:
            continue
        elif binding.key not in KEYS:
            problems.append(f"{line}: {_unknown(binding.key)}")
        elif binding.key in found:
            problems.append(f"{line}: {binding.key} stands there twice; remove one")
        else:
            found[binding.key] = Value(binding.value or "", str(path))
    return found


def _line_number(original: Original) -> int:
    """Of the line that a binding stands in; the parser's own counts the blank ones before it."""
    blank = original.string.removesuffix(original.string.lstrip())
    return original.line + blank.count("\n")


def _unknown(key: str) -> str:
    """What to say of a name that is no setting's: a line of a pasted secret must not be shown."""
    close = difflib.get_close_matches(key, KEYS, n=1)
    if close:
        return f"{key} is no setting; did you mean {close[0]}?"
    return f"{key if _NAME.fullmatch(key) else 'this'} is no setting; remove it"
