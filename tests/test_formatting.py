"""How durations read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jupyter_pdflow.formatting import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
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
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text
