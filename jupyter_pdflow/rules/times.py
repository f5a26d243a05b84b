"""The bounds of a time that a handler may ask for."""

from __future__ import annotations

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
