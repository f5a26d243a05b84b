"""Data directories in which any number of runs wait."""

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
from jupyter_pdflow.stores.tinydb.store import TinyDBStore

EVENT = {"text": "x" * 1200}
"""Makes the file of a waiting run 2 KB."""

WRITERS = 4


def seed(folder: Path, count: int) -> str:
    """Have `count` runs wait in a server's folder; returns the workflow's id.

    They are copies, under ids of their own, of a run that really paused, written by the
    product's own store.
    """
    with serving(folder) as product:
        workflow: str = product.server.deploy("approval", APPROVAL)["id"]
        run_id = product.start(workflow, EVENT)
        product.wait(run_id, "paused")
    run = _take_out(product.server.data_dir, run_id)
    shares = [len(range(number, count, WRITERS)) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(partial(_copy, product.server.data_dir, run), shares))
    return workflow


def _take_out(data_dir: Path, run_id: str) -> Run:
    """Read the one run of a data directory, and remove it there."""
    (run,) = TinyDBStore(data_dir).active()
    for path in data_dir.rglob(f"{run_id}.json"):
        path.unlink()
    return run


def _copy(data_dir: Path, run: Run, count: int) -> None:
    asyncio.run(_put(Records(data_dir / "active", Run, "run"), run, count))


async def _put(active: Records[Run], run: Run, count: int) -> None:
    for _ in range(count):
        copy = replace(run, id=str(ULID()))
        await active.put(copy.id, copy)
