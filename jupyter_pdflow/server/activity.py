"""Runs under way count as the server's activity, so that cullers leave it alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tornado.ioloop import PeriodicCallback

SETTING = "jupyter_pdflow_last_activity"
"""Jupyter counts every setting of its web application whose name ends like this."""

EVERY_MS = 1_000


class Activity:
    """Keeps the time of the last activity fresh while `busy` says so.

    Parameters
    ----------
    settings : dict
        The settings of Jupyter's web application.
    busy : callable
        Whether a run is queued or running.
    """

    def __init__(self, settings: dict[str, Any], busy: Callable[[], bool]) -> None:
        self._settings = settings
        self._busy = busy
        self._watch = PeriodicCallback(self._look, EVERY_MS)

    def start(self) -> None:
        """Begin to look."""
        self._watch.start()

    def stop(self) -> None:
        """Look no more."""
        self._watch.stop()

    def note(self) -> None:
        """Say that something happens now."""
        self._settings[SETTING] = datetime.now(UTC)

    def _look(self) -> None:
        if self._busy():
            self.note()
