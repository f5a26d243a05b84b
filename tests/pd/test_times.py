"""Times that pause calls take."""

from __future__ import annotations

import math

import pytest

from jupyter_pdflow.pd.flow import YEAR_MS, check_ms


@pytest.mark.parametrize("value", [1, 1.5, 1000, YEAR_MS])
def test_good(value: float) -> None:
    assert check_ms("timeout", value) == int(value)


@pytest.mark.parametrize("value", [0, -1, 0.5, YEAR_MS + 1, math.inf, math.nan, "10", None, True])
def test_bad_names_the_argument(value: object) -> None:
    with pytest.raises(ValueError, match=r"^timeout must be"):
        check_ms("timeout", value)


def test_a_delay_may_be_zero() -> None:
    assert check_ms("ms", 0, lowest=0) == 0
    with pytest.raises(ValueError, match=r"^ms must be from 0 to"):
        check_ms("ms", -1, lowest=0)
