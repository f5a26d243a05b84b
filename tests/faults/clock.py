"""A Jupyter configuration file that adds the seconds in a file to the server's clock."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jupyter_pdflow import clock as timers

_ahead = Path(os.environ["PDFLOW_TEST_CLOCK"])


def utc_now() -> datetime:
    ahead = float(_ahead.read_text()) if _ahead.exists() else 0.0
    return datetime.now(UTC) + timedelta(seconds=ahead)


timers.utc_now = utc_now
