"""Resumes workflows of DBOS: ``python dbos_work.py COUNT URL`` prints times as JSON."""

from __future__ import annotations

import json
import sys
import time

from dbos import DBOS, DBOSConfig, SetWorkflowID

WARM_UP = 10
WAIT_SECONDS = 600.0


@DBOS.step()
def go() -> int:
    return time.time_ns()


@DBOS.workflow()
def approval() -> int:
    DBOS.recv("approve", WAIT_SECONDS)
    return go()


def main() -> None:
    count, url = int(sys.argv[1]) + WARM_UP, sys.argv[2]
    config = DBOSConfig(
        name="approvals", system_database_url=url, log_level="ERROR", use_listen_notify=True
    )
    DBOS(config=config)
    DBOS.launch()
    times = [resume(f"approval-{number}") for number in range(count)][WARM_UP:]
    print(json.dumps(times))
    DBOS.destroy()


def resume(name: str) -> float:
    """Return the milliseconds from the message to a workflow until its next step's first line."""
    with SetWorkflowID(name):
        handle = DBOS.start_workflow(approval)
    time.sleep(0.02)  # it waits for the message then
    sent = time.time_ns()
    DBOS.send(name, True, "approve")
    return (handle.get_result() - sent) / 1e6


main()
