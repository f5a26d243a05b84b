from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_pdflow.engine.pending_writes import PendingWrites, RunLocks, StorageHealth
from jupyter_pdflow.settings import Limits
from jupyter_pdflow.stores.tinydb.storage import in_thread, replace_file
from tests.engine.support import until

SOON = Limits(storage_retry_seconds=0.02)


@pytest.fixture
async def pending_writes() -> AsyncIterator[PendingWrites]:
    pending_writes = PendingWrites(StorageHealth(), RunLocks(), limits=SOON)
    yield pending_writes
    await pending_writes.close()


async def write(path: Path, done: list[str]) -> None:
    await in_thread(replace_file, path, b"x")
    done.append(path.name)


async def test_done_at_once(pending_writes: PendingWrites, tmp_path: Path) -> None:
    done: list[str] = []
    await pending_writes.do("run", lambda: write(tmp_path / "a", done))
    assert (tmp_path / "a").exists()


async def test_done_in_order_as_soon_as_it_is_possible(
    pending_writes: PendingWrites, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    folder = tmp_path / "missing"
    await pending_writes.do("run", lambda: write(folder / "a", done))
    await pending_writes.do("run", lambda: write(tmp_path / "b", done))
    await pending_writes.do("other", lambda: write(tmp_path / "c", done))
    assert done == ["c"]
    folder.mkdir()
    await until(lambda: len(done) == 3)
    assert done == ["c", "a", "b"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "missing" in caplog.text


async def test_what_can_never_be_done_holds_up_nothing(
    pending_writes: PendingWrites, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    async def never() -> None:
        msg = "odd"
        raise ValueError(msg)

    await pending_writes.do("run", never)
    await pending_writes.do("run", lambda: write(tmp_path / "a", done))
    assert done == ["a"]
    await pending_writes.flush("run")
    assert "Something of run run can't be stored." in caplog.text


async def test_nothing_else_is_done_for_a_run_before(
    pending_writes: PendingWrites, tmp_path: Path
) -> None:
    done: list[str] = []
    folder = tmp_path / "missing"
    await pending_writes.do("run", lambda: write(folder / "a", done))
    with pytest.raises(FileNotFoundError):
        await pending_writes.flush("run")
    await pending_writes.flush("other")
    folder.mkdir()
    await pending_writes.flush("run")
    assert done == ["a"]


async def test_tried_a_last_time_at_the_end(tmp_path: Path) -> None:
    pending_writes = PendingWrites(StorageHealth(), RunLocks(), limits=SOON)
    done: list[str] = []
    folder = tmp_path / "missing"
    await pending_writes.do("run", lambda: write(folder / "a", done))
    folder.mkdir()
    await pending_writes.close()
    assert done == ["a"]


def test_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trouble = StorageHealth()
    full = OSError(errno.ENOSPC, "No space left on device")
    trouble.is_over()
    for _ in range(3):
        trouble.begins(full)
    trouble.is_over()
    trouble.is_over()
    trouble.begins(full)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]
    assert "No space left on device" in caplog.records[0].message
