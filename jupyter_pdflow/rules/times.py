"""The bounds of a time that a handler may ask for, and how a person says it."""

from __future__ import annotations

from datetime import timedelta

MINUTE, HOUR, DAY = 60, 3600, 86_400
YEAR_MS = 365 * 24 * 60 * 60 * 1000


def check_ms(name: str, value: object) -> int:
    """Return `value` as whole milliseconds.

    Raises
    ------
    ValueError
        It is not a number from 1 ms to one year; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number of milliseconds, not {value!r}"
        raise ValueError(msg)  # noqa: TRY004  one error for all bad times, as the docs say
    if not 1 <= value <= YEAR_MS:
        msg = f"{name} must be from 1 to {YEAR_MS:,} milliseconds (one year), not {value!r}"
        raise ValueError(msg)
    return int(value)


def duration(time: timedelta) -> str:
    """Write a time as a person says it: ``120 ms``, ``3.2 s``, ``5 min 10 s``, ``2 days 3 h``."""
    seconds = time.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    days, rest = divmod(round(seconds), DAY)
    parts = [
        f"{days} day{'s' * (days != 1)}" if days else "",
        f"{rest // HOUR} h" if rest >= HOUR else "",
        f"{rest % HOUR // MINUTE} min" if rest % HOUR >= MINUTE else "",
        f"{rest % MINUTE} s" if rest % MINUTE else "",
    ]
    return " ".join(part for part in parts if part)
