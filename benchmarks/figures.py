"""Figures that a measure yields, their statistics, and their goals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

Role: TypeAlias = Literal["figure", "baseline", "peer"]
Statistic: TypeAlias = Literal["p50", "p99"]


class Goal(Struct, frozen=True, omit_defaults=True):
    """A limit of a statistic of a figure.

    With `of`, the limit is a multiple of the same statistic of that other figure of the measure.
    """

    statistic: Statistic
    at_most: float | None = None
    at_least: float | None = None
    of: str | None = None

    def text(self, unit: str) -> str:
        sign, limit = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        what = f"× {self.of}" if self.of else unit
        return f"{self.statistic} {sign} {limit:g} {what}".rstrip()


class Figure(Struct, frozen=True, omit_defaults=True):
    """Samples of one quantity; a quantity that is measured once has one sample.

    A note stands beside the goals.
    """

    name: str
    unit: str
    samples: list[float]
    role: Role = "figure"
    goals: tuple[Goal, ...] = ()
    note: str = ""

    @property
    def p50(self) -> float:
        return percentile(self.samples, 0.50)

    @property
    def p99(self) -> float:
        return percentile(self.samples, 0.99)

    def statistic(self, name: Statistic) -> float:
        return self.p50 if name == "p50" else self.p99


Figures: TypeAlias = Iterator[Figure]


def percentile(samples: list[float], share: float) -> float:
    """Return a percentile by nearest rank: the smallest sample that `share` of all don't exceed."""
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def is_met(goal: Goal, figure: Figure, others: list[Figure]) -> bool | None:
    """Return whether a figure meets a goal, or None if the figure `of` was not measured."""
    found = figure.statistic(goal.statistic)
    factor = 1.0
    if goal.of is not None:
        other = next((one for one in others if one.name == goal.of), None)
        if other is None:
            return None
        factor = other.statistic(goal.statistic)
    if goal.at_most is not None:
        return found <= goal.at_most * factor
    return found >= (goal.at_least or 0.0) * factor
