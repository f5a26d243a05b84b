"""Fills data directories with any number of paused runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ulid import ULID

from benchmarks.product import APPROVAL, serving
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, DataDir
from jupyter_pdflow.stores.tinydb.storage import sync_directory, write_synced

EVENT = {"text": "x" * 1200}
"""An event by which the state of a paused run is 2 KB."""

WRITERS = 4


def seed(folder: Path, count: int) -> str:
    """Make `count` paused runs in a server's folder; return the workflow's id.

    Their files are copies, with their own ids, of that of a run that a server has paused.
    """
    with serving(folder) as product:
        workflow: str = product.server.deploy("approval", APPROVAL)["id"]
        run_id = product.start(workflow, EVENT)
        product.wait(run_id, "paused")
    path = DataDir(product.server.data_dir).file(ACTIVE, run_id)
    content = path.read_bytes()
    path.unlink()
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(partial(_copy, path, content), range(count)))
    sync_directory(path.parent)
    return workflow


def _copy(path: Path, content: bytes, _: int) -> None:
    copy = str(ULID())
    copied = content.replace(path.stem.encode(), copy.encode())
    write_synced(str(path.with_stem(copy)), copied)
