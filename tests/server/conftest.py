"""A fixture that starts paused runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.servers import JupyterServer

ASK = """%%step ask
def handler(pd):
    pd.flow.suspend()
    print("asked")
    return {"asked": pd.steps.trigger.event}
"""
TELL = """%%step tell
def handler(pd):
    return pd.steps["ask"]["$resume_data"]
"""


@pytest.fixture(scope="module")
def paused(server: JupyterServer) -> Callable[[], Any]:
    """Return a function that starts a run with an event, and returns the run once it is paused."""
    workflow = server.deploy("approval", ["import os", ASK, TELL])

    def start(event: Any = None) -> Any:
        return server.wait_run(server.run(workflow, event)["id"], "paused")

    return start
