"""Tables: for the terminal, and for docs/performance.md between its marks."""

from __future__ import annotations

import re
from pathlib import Path

from results import Column, Result


def _number(value: object, digits: int) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,.{digits}f}"


def _cells(result: Result) -> tuple[list[str], list[list[str]]]:
    head, rows = [""], [[str(row["title"])] for row in result.rows.values()]

    def add(column: Column) -> None:
        values = [row.get(column.key) for row in result.rows.values()]
        head.append(column.title)
        for cells, value in zip(rows, values):
            cells.append(_number(value, column.digits))
        if column.ratio:
            head.append("× nginx")
            for cells, name in zip(rows, result.rows):
                cells.append(_number(result.ratio(name, column.key), 2))

    for column in result.columns:
        add(column)
    return head, rows


def text(result: Result) -> str:
    head, rows = _cells(result)
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))) for line in [head, *rows]]
    return "\n".join([f"{result.title} ({result.scenario})", result.setup, "", *lines, *(["", *result.notes] if result.notes else []), ""])


def markdown(result: Result) -> str:
    head, rows = _cells(result)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" + "---:|" * (len(head) - 1)]
    for name, row in zip(result.rows, rows):
        cells = [f"**{cell}**" for cell in row] if name == "coatcheck" else row
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([f"**{result.title}.** {result.setup}", "", *lines, *(["", *result.notes] if result.notes else [])])


def write_into(document: Path, results: list[Result]) -> None:
    """Puts the figures between `<!-- figures NAME -->` and `<!-- end -->`; a scenario without figures keeps what stands there."""
    content = document.read_text()
    parts = {one.scenario: markdown(one) for one in results}
    dates = sorted({one.when for one in results})
    parts["machine"] = f"Measured {' to '.join(dict.fromkeys([dates[0], dates[-1]]))} on {results[-1].machine}."
    for name, part in parts.items():
        pattern = re.compile(rf"(<!-- figures {re.escape(name)} -->\n).*?(<!-- end -->)", re.S)
        content, count = pattern.subn(lambda found: f"{found[1]}{part}\n{found[2]}", content)
        if not count:
            raise SystemExit(f"{document.name} has no place for the figures of {name}")
    document.write_text(content)
