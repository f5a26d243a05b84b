"""Fills data directories with any number of paused runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from msgspec.structs import replace
from ulid import ULID

from benchmarks.product import APPROVAL, serving
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.runs import RUN
from jupyter_pdflow.stores.tinydb.store import TinyDBStore

EVENT = {"text": "x" * 1200}
"""An event by which the file of a paused run is 2 KB."""

WRITERS = 4


def seed(folder: Path, count: int) -> str:
    """Make `count` paused runs in a server's folder; return the workflow's id.

    They are copies, with their own ids, of a run that a server has paused. The product's own
    store writes them.
    """
    with serving(folder) as product:
        workflow: str = product.server.deploy("approval", APPROVAL)["id"]
        run_id = product.start(workflow, EVENT)
        product.wait(run_id, "paused")
    run = _remove_run(product.server.data_dir, run_id)
    shares = [len(range(number, count, WRITERS)) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(partial(_copy, product.server.data_dir, run), shares))
    return workflow


def _remove_run(data_dir: Path, run_id: str) -> Run:
    """Return the only run of a data directory, and remove its files."""
    (run,) = TinyDBStore(data_dir).active()
    for path in data_dir.rglob(f"{run_id}.json"):
        path.unlink()
    return run


def _copy(data_dir: Path, run: Run, count: int) -> None:
    asyncio.run(_put(Records(data_dir / "active", RUN), run, count))


async def _put(active: Records[Run], run: Run, count: int) -> None:
    for _ in range(count):
        copy = replace(run, id=str(ULID()))
        await active.put(copy.id, copy)
