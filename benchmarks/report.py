"""Writes results into README.md, and the picture: ``python -m benchmarks report``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.archive import Result
from benchmarks.plot import PICTURE, draw
from benchmarks.tables import markdown_table

README = Path(__file__).parent / "README.md"
PICTURE_LINE = f"![R against the number of waiting runs](results/{PICTURE.name})"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def write(results: dict[str, Result], titles: dict[str, str]) -> None:
    """Write the tables between the marks in README.md, and draw the picture."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    sections = [
        _section(key, title, result)
        for name, title in titles.items()
        for key, result in results.items()
        if key.split()[0] == name
    ]
    sections.append(_environments(results))
    if "waiting" in results and draw(results["waiting"].figures):
        sections.insert(0, PICTURE_LINE)
    README.write_text(
        f"{before}{BEGIN}\n\n" + "\n\n".join(sections) + f"\n\n{END}{after}", encoding="utf-8"
    )


def _section(name: str, title: str, result: Result) -> str:
    few = "\nFew samples (`--quick`)." if result.quick else ""
    return f"### `{name}`: {title}\n\n{markdown_table(result.figures)}\n{few}".rstrip()


def _environments(results: dict[str, Result]) -> str:
    """Return the machine and versions of each measure, those that share them together."""
    names: dict[str, list[str]] = {}
    for name, result in results.items():
        parts = {**result.machine, **result.versions}
        what = "; ".join(f"{key} {value}" for key, value in parts.items())
        names.setdefault(f"{result.measured_at.date()}: {what}.", []).append(f"`{name}`")
    return "\n\n".join(f"{', '.join(which)}, {what}" for what, which in names.items())
