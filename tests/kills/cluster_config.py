"""A Jupyter configuration file that makes leases short, so that a fault does not take long."""

from __future__ import annotations

import os
from datetime import timedelta

VARIABLE = "PDFLOW_TEST_LEASE_SECONDS"


def shorten(seconds: float) -> None:
    from jupyter_pdflow.engine import pgqueuer_queue
    from jupyter_pdflow.stores.postgres.store import PostgresStore

    lease = timedelta(seconds=seconds)
    PostgresStore.__init__.__kwdefaults__["lease"] = lease
    pgqueuer_queue.HEARTBEAT_TIMEOUT = lease


if VARIABLE in os.environ:
    shorten(float(os.environ[VARIABLE]))
