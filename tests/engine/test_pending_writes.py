"""Writes that failed are made later, in order; the log reports a failing storage once."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_pdflow.engine.queue import PendingWrites, RunLocks, StorageHealth
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


async def test_a_write_is_made_at_once(pending_writes: PendingWrites, tmp_path: Path) -> None:
    done: list[str] = []
    await pending_writes.do("run", lambda: write(tmp_path / "a", done))
    assert (tmp_path / "a").exists()


async def test_failed_writes_are_made_in_order_once_the_storage_works(
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


async def test_a_write_that_can_never_succeed_is_dropped(
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
    assert "A write of run run can't be made" in caplog.text


async def test_flush_raises_while_a_write_of_the_run_fails(
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


async def test_close_tries_pending_writes_a_last_time(tmp_path: Path) -> None:
    pending_writes = PendingWrites(StorageHealth(), RunLocks(), limits=SOON)
    done: list[str] = []
    folder = tmp_path / "missing"
    await pending_writes.do("run", lambda: write(folder / "a", done))
    folder.mkdir()
    await pending_writes.close()
    assert done == ["a"]


def test_a_failing_storage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    health = StorageHealth()
    full = OSError(errno.ENOSPC, "No space left on device")
    health.report_success()
    for _ in range(3):
        health.report_failure(full)
    health.report_success()
    health.report_success()
    health.report_failure(full)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]
    assert "No space left on device" in caplog.records[0].message
