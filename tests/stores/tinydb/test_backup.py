"""A copy of the data directory that is made while a server works is a backup."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from msgspec.structs import replace

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import RunQuery
from jupyter_pdflow.stores.files import TEMPORARY
from tests.stores.tinydb.conftest import OpenStore
from tests.stores.tinydb.support import commit, make

INDEX = "index.sqlite"


async def test_a_copy_that_is_made_while_runs_are_written_opens(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = await open_store(tmp_path / "data")
    runs = [await make(store) for _ in range(5)]
    stored: dict[str, list[Run]] = {run.id: [run] for run in runs}
    copies: list[Path] = []
    writing = True

    def copy() -> None:
        while writing:
            copies.append(tmp_path / f"copy-{len(copies)}")
            copy_folder(tmp_path / "data", copies[-1])

    async def write() -> None:
        for number in range(200):
            # Every tenth state is large, so that files are replaced too.
            size = 30_000 if number % 10 == 0 else number
            run = replace(runs[number % len(runs)], event="x" * size, crashes=number)
            stored[run.id].append(run)
            await commit(store, run)

    copying = asyncio.create_task(asyncio.to_thread(copy))
    await write()
    writing = False
    await copying
    assert len(copies) > 1
    for path in copies:
        copied = await open_store(path)
        found = [await copied.get(run.id) for run in runs]
        assert all(run in stored[run.id] for run in found)
        listed = await copied.list(RunQuery())
        assert [run.id for run in listed] == [run.id for run in reversed(runs)]
        assert [run.updated_at for run in listed] == [run.updated_at for run in reversed(found)]
        assert not list(path.rglob("*.unreadable"))


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder as backups do: a temporary file that is gone when its turn comes is skipped."""
    missed: list[str] = []
    try:
        shutil.copytree(source, target)
    except shutil.Error as error:
        missed = [name for name, *_ in error.args[0]]
    assert all(name.endswith(TEMPORARY) or INDEX in name for name in missed), missed
