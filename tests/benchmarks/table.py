"""What is printed and written: one row a measurement, each beside what it is measured against."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """A measurement of one run.

    Args:
        against: the yardstick, measured in the same run.
        goal: which side of it `value` or `ratio` should be on; "" if none.
        ratio: of the two, where both are figures of one kind.
    """

    name: str
    value: str
    against: str = ""
    goal: str = ""
    ratio: float | None = None


def print_table(rows: Sequence[Row]) -> None:
    header = ("what", "measured", "ratio", "against", "goal")
    table = [header, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, tuple("-" * width for width in widths))
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip(), flush=True)


def write_json(rows: Sequence[Row], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n")


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return (row.name, row.value, ratio, row.against, row.goal)
