"""Formats figures as tables, for the terminal and for Markdown."""

from __future__ import annotations

from typing import NamedTuple

from rich.table import Table

from benchmarks.figures import Figure, is_met

MARKS = {True: "✔", False: "✘", None: "–"}
STYLES = {"figure": "bold", "baseline": "", "peer": "italic"}


class Row(NamedTuple):
    """The cells of a figure."""

    name: str
    p50: str
    p99: str
    n: str
    goals: str


HEADINGS = Row("figure", "p50", "p99", "n", "goal")


def rows(figures: list[Figure]) -> list[Row]:
    """Return the cells of figures."""
    return [_row(figure, figures) for figure in figures]


def terminal_table(title: str, figures: list[Figure]) -> Table:
    """Return a table for the terminal."""
    table = Table(title=title, title_justify="left")
    for heading in HEADINGS:
        is_number = heading in ("p50", "p99", "n")
        table.add_column(heading, justify="right" if is_number else "left")
    for figure, row in zip(figures, rows(figures), strict=True):
        table.add_row(*row, style=STYLES[figure.role])
    return table


def markdown_table(figures: list[Figure]) -> str:
    """Return a table in Markdown, with the product's own figures in bold."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---:|---:|---:|---|"]
    for figure, row in zip(figures, rows(figures), strict=True):
        name = f"**{row.name}**" if figure.role == "figure" else row.name
        lines.append("| " + " | ".join(row._replace(name=name)) + " |")
    return "\n".join(lines)


def _row(figure: Figure, others: list[Figure]) -> Row:
    marked = [
        f"{MARKS[is_met(goal, figure, others)]} {goal.text(figure.unit)}" for goal in figure.goals
    ]
    marked += [figure.note] if figure.note else []
    several = len(figure.samples) > 1
    name = figure.name if figure.role != "peer" else f"{figure.name} (peer)"
    return Row(
        name,
        _number(figure.p50, figure.unit),
        _number(figure.p99, figure.unit) if several else "",
        str(len(figure.samples)),
        ", ".join(marked),
    )


def _number(value: float, unit: str) -> str:
    is_count = not unit and value.is_integer()
    digits = 0 if is_count or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()
