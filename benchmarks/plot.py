"""Draws the picture of R against the number of waiting runs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.waiting import COUNTS, r_name

PICTURE = Path(__file__).parent / "results" / "r-against-waiting.png"
BLUE, GREY = "#1f6feb", "#6e7781"


def draw(figures: list[Figure], path: Path = PICTURE) -> bool:
    """Draw the figures of ``waiting``; return whether there were enough to draw."""
    by_name = {figure.name: figure for figure in figures}
    measured = [count for count in COUNTS if r_name(count) in by_name]
    if len(measured) < 2:
        return False
    _picture([(count, by_name[r_name(count)]) for count in measured], by_name, path)
    return True


def _picture(points: list[tuple[int, Figure]], by_name: dict[str, Figure], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
    positions = range(len(points))
    middle = [found.p50 for _, found in points]
    upper = [found.p99 for _, found in points]
    axes.plot(positions, middle, "o-", color=BLUE, label="R, p50")
    axes.plot(positions, upper, "o:", color=BLUE, alpha=0.6, label="R, p99")
    axes.plot(
        positions,
        [1.1 * middle[0]] * len(points),
        "--",
        color=GREY,
        lw=1,
        label="1.1 × p50 beside 0",
    )
    baseline = by_name.get("execute_request, first line")
    if baseline is not None:
        axes.axhline(baseline.p50, color=GREY, lw=1, label="bare execute_request, p50")
    axes.set_xticks(positions, [f"{count:,}" for count, _ in points])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("other runs that wait")
    axes.set_ylabel("request → first line (ms)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)
