"""Removing what has been finished for long enough."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from jupyter_pdflow.engine.mailbox import Mailbox
from jupyter_pdflow.store.base import Store

PRUNE_EVERY = 3600.0
"""Seconds between looks for finished runs that are old enough to go."""

AT_ONCE = 500
"""So many runs are removed in one go; requests are answered before the next."""


class Pruning:
    """Removes finished runs, with their outputs and their mails, some days after their end.

    A run goes last of all that belongs to it: if the server dies in between, the next look
    finds the run again and removes the rest. Versions of workflows stay.

    Parameters
    ----------
    keep_days : float or None
        How many days; None keeps everything.
    """

    def __init__(
        self,
        store: Store,
        mailbox: Mailbox,
        *,
        keep_days: float | None,
        clock: Callable[[], datetime],
        log: logging.Logger,
    ) -> None:
        self._store = store
        self._mailbox = mailbox
        self._keep_days = keep_days
        self._clock = clock
        self._log = log
        self._next: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Look now, and from time to time."""
        if self._keep_days is not None:
            self._look(timedelta(days=self._keep_days))

    def close(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()

    def _look(self, age: timedelta) -> None:
        more = False
        try:
            more = self._prune(self._clock() - age)
        except OSError:
            self._log.exception("Old runs can't be removed; trying again later.")
        wait = 0 if more else PRUNE_EVERY
        self._next = asyncio.get_running_loop().call_later(wait, self._look, age)

    def _prune(self, before: datetime) -> bool:
        """Remove some old runs; whether there are more. One with a mail to deliver can wait."""
        old = self._store.ended_before(before)
        waiting = self._mailbox.waiting()
        gone = [run_id for run_id in old if run_id not in waiting]
        self._mailbox.remove_of(gone[:AT_ONCE])
        for run_id in gone[:AT_ONCE]:
            self._store.remove(run_id)
        return len(gone) > AT_ONCE
