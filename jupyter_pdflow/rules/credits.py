"""What compute time costs."""

from __future__ import annotations

CREDIT_MS = 30_000


def credits_for(compute_ms: int) -> int:
    """Count the credits of one execution segment: one per started 30 s, at least one.

    Parameters
    ----------
    compute_ms : int
        Milliseconds from waking to pausing or ending.
    """
    return max(1, -(-compute_ms // CREDIT_MS))
