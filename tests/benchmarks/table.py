"""What is printed: one row a measurement, each beside what it is measured against."""

from typing import NamedTuple


class Row(NamedTuple):
    """A measurement of one run. `goal` says which side of it `value` should be on; "" if none."""

    name: str
    value: str
    against: str
    goal: str = ""


def print_table(rows: list[Row]) -> None:
    header = Row("what", "measured", "against", "goal")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, Row(*("-" * width for width in widths)), *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip(), flush=True)
