"""Slows down those who try links that lead nowhere; a right link is never asked."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from jupyter_pdflow.exceptions import PDFlowError

AT_ONCE = 60
"""Wrong tries that an address has."""

SECONDS = 60.0
"""In which an address that has used them up gets all of them back, one after another."""

MOST_ADDRESSES = 10_000
SUBNET_BITS = 64
"""Low bits of an IPv6 address that its owner chooses."""


class TooManyAttemptsError(PDFlowError):
    """An address has tried too many links that lead nowhere.

    Attributes
    ----------
    seconds : int
        After how many seconds it may try again.
    """

    reason = "too_many_tries"
    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many links were not known here; try again in {seconds} s.")
        self.seconds = seconds


class RateLimiter:
    """Counts wrong tries per address, for the latest `MOST_ADDRESSES` of them.

    Each try lasts ``SECONDS / AT_ONCE``; the time by which those of an address are over is all
    that is kept of it (the generic cell rate algorithm).

    Parameters
    ----------
    clock : callable
        Tells the time in seconds; only differences matter.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._over_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Tell how many addresses are kept."""
        return len(self._over_at)

    def count(self, address: str | None) -> None:
        """Count a wrong try.

        Parameters
        ----------
        address : str or None
            Where it came from.

        Raises
        ------
        TooManyTriesError
            There were too many; this one was not counted.
        """
        now, owner = self._clock(), _owner(address or "")
        over_at = max(self._over_at.pop(owner, now), now)
        wait = over_at + SECONDS / AT_ONCE - (now + SECONDS)
        self._over_at[owner] = over_at if wait > 0 else over_at + SECONDS / AT_ONCE
        if len(self._over_at) > MOST_ADDRESSES:
            self._over_at.popitem(last=False)
        if wait > 0:
            raise TooManyAttemptsError(math.ceil(wait))


def _owner(address: str) -> str:
    """Tell whose address it is: an IPv6 address stands for its whole subnet."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped or int(known) >> SUBNET_BITS)
