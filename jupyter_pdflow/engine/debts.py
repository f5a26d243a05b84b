"""What is still to be written for runs: done at once, or as soon as the storage allows it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

RETRY_AFTER = 2.0
"""Seconds until something that could not be stored is tried again."""


class Trouble:
    """Tells the log once when the storage fails, and once when it works again."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told = False

    def begins(self, error: OSError) -> None:
        """Say that something could not be stored; it is kept and tried again."""
        if not self._told:
            self._told = True
            self._log.error(
                "The data directory can't be written: %s. Free some space or repair it; what is "
                "to be stored is kept in memory and tried again until it succeeds.",
                error,
            )

    def is_over(self) -> None:
        """Say that something was stored."""
        if self._told:
            self._told = False
            self._log.info("The data directory can be written again.")


class Debts:
    """What follows from a stored change and has to be stored too, in order, by run.

    Each piece of work may be done again after it has failed halfway.

    Parameters
    ----------
    trouble : Trouble
        Tells that something could not be stored.
    """

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self._owed: dict[str, list[Callable[[], None]]] = {}
        self._retry: asyncio.TimerHandle | None = None

    def do(self, run_id: str, work: Callable[[], None]) -> None:
        """Do this for a run, at once or else later; never raises `OSError`."""
        self._owed.setdefault(run_id, []).append(work)
        with suppress(OSError):
            self.settle(run_id)
        self._schedule()

    def settle(self, run_id: str) -> None:
        """Do what is still owed to a run.

        Raises
        ------
        OSError
            That is still not possible.
        """
        if run_id not in self._owed:
            return
        work = self._owed[run_id]
        try:
            while work:
                work[0]()
                del work[0]
        except OSError as error:
            self._trouble.begins(error)
            raise
        del self._owed[run_id]

    def close(self) -> None:
        """Try a last time; the next start finds what is left by what is stored."""
        self._settle_all()
        self._owed.clear()
        self._schedule()

    def _schedule(self) -> None:
        if self._retry is not None and not self._owed:
            self._retry.cancel()
            self._retry = None
        if self._retry is None and self._owed:
            self._retry = asyncio.get_running_loop().call_later(RETRY_AFTER, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._settle_all()
        self._schedule()

    def _settle_all(self) -> None:
        for run_id in list(self._owed):
            with suppress(OSError):
                self.settle(run_id)
