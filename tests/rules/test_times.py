from __future__ import annotations

import math
from datetime import timedelta

import pytest

from jupyter_pdflow.rules.run import YEAR_MS, check_ms, duration


@pytest.mark.parametrize("value", [1, 1.5, 1000, YEAR_MS])
def test_good(value: float) -> None:
    assert check_ms("timeout", value) == int(value)


@pytest.mark.parametrize("value", [0, -1, 0.5, YEAR_MS + 1, math.inf, math.nan, "10", None, True])
def test_bad_names_the_argument(value: object) -> None:
    with pytest.raises(ValueError, match=r"^timeout must be"):
        check_ms("timeout", value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.12, "120 ms"),
        (1, "1 s"),
        (3.21, "3.2 s"),
        (60, "1 min"),
        (3599.9, "1 h"),
        (3662, "1 h 1 min 2 s"),
        (86_400, "1 day"),
        (2 * 86_400 + 10, "2 days 10 s"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words
