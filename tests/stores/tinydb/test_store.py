"""The store on TinyDB: what a commit stores, what lists show meanwhile, and what it logs."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from jupyter_pdflow.exceptions import NotFoundError, StorageUnavailableError, StoredFileError
from jupyter_pdflow.rules.events import Begin, Cancel
from jupyter_pdflow.rules.run import Error, Run
from jupyter_pdflow.rules.transitions import apply
from jupyter_pdflow.server.api.models import run_item, run_view
from jupyter_pdflow.stores import RunQuery, RunSummary, StepOutputs, summary_of
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.index_source import FolderSource
from jupyter_pdflow.stores.tinydb.layout import ALL_FOLDERS
from jupyter_pdflow.stores.tinydb.writer import Stamp
from tests.rules.support import START, RunDriver, suspend
from tests.stores.tinydb.conftest import Reopen
from tests.stores.tinydb.support import IDS, canceled, commit, failing, make, run_of
from tests.waiting import until

ALL = RunQuery(limit=1_000)
INVALID_IDS = ["../../pwn", "/tmp/pwn", "a/b", "..", "", "a\n", "a\0", "ä", "x" * 300]


def links_for(run_id: str, step: str, execution: int) -> tuple[str, str]:
    return f"{run_id}/{step}/{execution}", "cancel"


def ids(runs: list[RunSummary]) -> list[str]:
    return [run.id for run in runs]


class TestCommit:
    async def test_a_run_that_is_being_written_is_read_as_it_was_before(
        self, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await reopen()
        run = await make(store)
        assert ids(await store.list(ALL)) == [run.id]
        written, go = threading.Event(), threading.Event()

        def sync(_fd: int) -> None:
            written.set()
            go.wait(10)

        monkeypatch.setattr(appended, "sync_data", sync)
        for event in (Begin(), Cancel(by="api")):
            changed = apply(run, event, START).run
            writing = asyncio.create_task(commit(store, changed))
            await asyncio.to_thread(written.wait, 10)
            assert await store.get(run.id) == run
            assert ids(await store.list(RunQuery(status=run.status))) == [run.id]
            go.set()
            await writing
            assert await store.get(run.id) == changed
            assert await store.list(RunQuery(status=run.status)) == []
            run = changed
            written.clear()
            go.clear()

    @pytest.mark.parametrize("fault", ["pwrite", "fdatasync", "replace"])
    async def test_what_can_not_be_stored_has_not_happened(
        self, reopen: Reopen, tmp_path: Path, fault: str
    ) -> None:
        store = await reopen()
        run, new = await make(store), run_of()
        changed = apply(run, Begin(), START).run
        with failing(fault):
            writes = [commit(store, changed), store.create(new)] if fault != "replace" else []
            for write in (*writes, commit(store, canceled(run))):
                with pytest.raises(StorageUnavailableError, match="Nothing was changed"):
                    await write
        with pytest.raises(NotFoundError):
            await store.get(new.id)
        for again in (False, True):
            store = await reopen() if again else store
            assert await store.get(run.id) == run
            assert ids(await store.list(ALL)) == [run.id]
        assert os.listdir(tmp_path / "active") == [f"{run.id}.jsonl"]
        assert os.listdir(tmp_path / "finished") == []
        ended = await commit(store, canceled(run))
        assert await (await reopen()).get(run.id) == ended

    async def test_a_list_that_has_seen_what_can_not_be_stored_is_put_right(
        self, reopen: Reopen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await reopen()
        run = await make(store)
        store = await reopen((tmp_path / "index.sqlite").unlink)
        written, go = threading.Event(), threading.Event()

        def fail(_fd: int) -> None:
            written.set()
            go.wait(10)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(appended, "sync_data", fail)
        new = run_of()
        writes = [asyncio.create_task(commit(store, apply(run, Begin(), START).run))]
        writes.append(asyncio.create_task(store.create(new)))
        await asyncio.to_thread(written.wait, 10)
        assert len(await store.list(ALL)) > 0  # the folders are read only now
        go.set()
        for write in writes:
            with pytest.raises(StorageUnavailableError):
                await write
        assert [(found.id, found.status) for found in await store.list(ALL)] == [(run.id, "queued")]

    async def test_a_run_whose_move_was_lost_is_archived_at_the_next_start(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        run = await make(store, ended=True)
        active, finished = tmp_path / "active", tmp_path / "finished"
        move = (finished / f"{run.id}.jsonl").rename
        store = await reopen(lambda: move(active / f"{run.id}.jsonl"))
        assert await store.get(run.id) == run
        assert ids(await store.list(RunQuery(status="canceled"))) == [run.id]
        assert os.listdir(active) == []
        assert os.listdir(finished) == [f"{run.id}.jsonl"]
        assert (await store.ready(), await store.lapsed(START, 9)) == ([], [])

    async def test_an_invalid_id_makes_no_path(self, reopen: Reopen, tmp_path: Path) -> None:
        store = await reopen()
        for wrong in INVALID_IDS:
            for run in (run_of(id=wrong), canceled(run_of(id=wrong))):
                with pytest.raises(StoredFileError, match="is not the id of a record"):
                    await store.create(run)
            assert (await store.outputs(wrong)).by_step() == {}
        assert not list(tmp_path.parent.glob("pwn*"))
        assert await store.list(ALL) == []

    @pytest.mark.parametrize("folder", [folder.name for folder in ALL_FOLDERS])
    async def test_a_file_instead_of_a_folder_is_quarantined(
        self, reopen: Reopen, tmp_path: Path, folder: str
    ) -> None:
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        (tmp_path / folder).write_bytes(b"content")
        run = await make(await reopen())
        assert await (await reopen()).get(run.id) == run
        assert (tmp_path / f"{folder}.unreadable").read_bytes() == b"content"

    async def test_a_failing_storage_is_logged_once(
        self, reopen: Reopen, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "jupyter_pdflow")
        store = await reopen()
        run = await make(store)
        for _ in range(2):
            with failing("pwrite"):
                for number in range(3):
                    with pytest.raises(StorageUnavailableError):
                        await commit(store, replace(run, crashes=number))
        await commit(store, replace(run, crashes=4))
        await commit(store, replace(run, crashes=5))
        with failing("pwrite"), pytest.raises(StorageUnavailableError):
            await make(store)
        assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]
        assert "No space left on device" in caplog.records[0].message
        assert "can be written again" in caplog.records[1].message


class TestOpen:
    async def test_what_the_last_process_left(self, reopen: Reopen) -> None:
        store = await reopen()
        queued, running = await make(store), await make(store)
        waiting = await make(store, not_before=START)
        begun = await commit(store, apply(running, Begin(owner=store.owner), START).run)
        assert (await store.ready(), await store.lapsed(START, 9)) == ([], [])
        owner = store.owner
        store = await reopen()
        assert store.owner != owner == begun.owner
        assert await store.ready() == [queued.id]
        assert await store.lapsed(START, 9) == [(running.id, "a", 1, 1)]
        assert (await store.ready(), await store.lapsed(START, 9)) == ([], [])
        assert await store.next_deadline() == START
        assert await store.due(START, 9, START + timedelta(seconds=1)) == [waiting.id]


async def test_temporary_files_of_a_crash_are_removed(reopen: Reopen, tmp_path: Path) -> None:
    await reopen()
    left = [tmp_path / folder.name / "x.json.tmp" for folder in ALL_FOLDERS]
    left.append(tmp_path / "mail" / "x.eml.tmp")
    for path in left:
        path.write_bytes(b"half")
        os.utime(path, (1, 1))
    new = tmp_path / "finished" / "y.json.tmp"
    new.write_bytes(b"half")
    os.utime(new, (2**32, 2**32))  # of a write under way
    await reopen()
    await until(lambda: not any(path.exists() for path in left))
    assert new.exists()


class TestLists:
    async def test_the_newest_id_does_not_wait_for_the_index(
        self, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await reopen()
        runs = [await make(store, ended=ended) for ended in (False, True)]
        go_on = threading.Event()

        def wait(_: FolderSource) -> Iterator[tuple[str, Stamp]]:
            go_on.wait(60)  # in the index's thread, as the first one is asked for there
            yield from ()

        with monkeypatch.context() as patch:
            patch.setattr(FolderSource, "run_stamps", wait)
            store = await reopen()
            try:
                async with asyncio.timeout(30):
                    assert await store.newest() == runs[1].id
            finally:
                go_on.set()
        shutil.rmtree(store._runs._finished.directory)
        with pytest.raises(StorageUnavailableError):
            await store.newest()

    async def test_pages_are_newest_first_even_after_a_start(self, reopen: Reopen) -> None:
        store = await reopen()
        made = [(await make(store, ended=number % 2 == 0)).id for number in range(7)]
        for again in (False, True):
            store = await reopen() if again else store
            first = ids(await store.list(RunQuery(limit=3)))
            rest = ids(await store.list(RunQuery(limit=10, before=first[-1])))
            assert first + rest == made[::-1]
            assert len(await store.list(RunQuery(status="canceled"))) == 4
            assert len(await store.list(RunQuery(status="queued", limit=2))) == 2
            assert await store.list(RunQuery(status="failed")) == []
            assert await store.list(RunQuery(workflow_id="other")) == []

    async def test_a_list_keeps_no_large_data_in_memory(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        large = {"$return_value": "x" * 5_000_000}
        for ended in (False, True):
            driver = RunDriver("a", "b", event={"x": "y" * 500_000})
            run = replace(driver.step(**suspend(), exports=large), id=f"run-{ended}")
            await store.create(run)
            if ended:
                await commit(store, canceled(run))
        for again in (False, True):
            if again:  # all runs are read, into a new index
                store = await reopen((tmp_path / "index.sqlite").unlink)
            tracemalloc.start()
            (finished, paused) = await store.list(ALL)
            kept, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert kept < 1_000_000
            assert peak < 10_000_000
            assert (finished.status, paused.status) == ("canceled", "paused")
            assert paused.pause is not None
            assert run.pause is not None
            assert paused.pause.deadline == run.pause.deadline
            assert [step.status for step in paused.steps] == ["paused", "pending"]

    async def test_the_summary_of_a_run_agrees_with_the_run(self, reopen: Reopen) -> None:
        store = await reopen()
        failing = RunDriver("a", "b")
        failing.step(error=Error(ename="E", evalue="no", traceback=["t"], step="a"))
        waiting = RunDriver("a", "b")
        waiting.step(**suspend(), exports={"n": 1})
        ended = apply(waiting.run, Cancel(by="api", reason="enough"), START).run
        for number, run in enumerate((failing.run, waiting.run, ended)):
            await store.create(replace(run, id=str(number)))
        found = await store.list(ALL)
        assert len(found) == 3
        for summary in found:
            run = await store.get(summary.id)
            assert summary == summary_of(run)
            shown = to_builtins(run_view(run, links_for, {}))
            del shown["event"]
            for step in shown["steps"]:
                del step["exports"]
            assert to_builtins(run_item(summary, links_for, {})) == shown

    async def test_lists_while_their_runs_change(self, reopen: Reopen) -> None:
        store = await reopen()
        made = [(await make(store, ended=True)).id for _ in range(300)]
        store = await reopen()
        last = await make(store)

        async def change() -> None:
            for run_id in made[::7]:
                assert await store.delete([run_id]) == {}
            await commit(store, canceled(last))

        changing = asyncio.create_task(change())
        lists = [store.list(RunQuery(status="canceled", limit=1_000)) for _ in range(4)]
        found = await asyncio.gather(*lists)
        await changing
        left = [run_id for number, run_id in enumerate(made) if number % 7]
        for runs in found:
            assert ids(runs) == sorted(set(ids(runs)), reverse=True)
            assert {*left} <= {*ids(runs)} <= {*made, last.id}
        assert ids(await store.list(ALL)) == [last.id, *reversed(left)]

    async def test_a_list_does_not_block_the_event_loop(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        run = await make(await reopen(), ended=True)
        content = (tmp_path / "finished" / f"{run.id}.jsonl").read_bytes()
        for _ in range(5_000):
            run_id = IDS.new(datetime.now(UTC))
            path = tmp_path / "finished" / f"{run_id}.jsonl"
            path.write_bytes(content.replace(run.id.encode(), run_id.encode()))
        store = await reopen()
        listing = asyncio.create_task(store.list(RunQuery(status="failed")))
        turns = 0
        while not listing.done():
            await asyncio.sleep(0)
            turns += 1
        assert await listing == []
        assert turns > 50  # one for each READ_AT_ONCE at least
        assert (await store.counts()).statuses == {"canceled": 5_001}

    async def test_only_lists_wait_until_the_folders_are_read(
        self, reopen: Reopen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await reopen()
        ended, waiting = await make(store, ended=True), await make(store)
        go = threading.Event()
        read = FolderSource.run

        def read_late(source: FolderSource, run_id: str) -> tuple[Run, Stamp] | None:
            go.wait(10)
            return read(source, run_id)  # type: ignore[return-value]

        monkeypatch.setattr(FolderSource, "run", read_late)
        store = await reopen((tmp_path / "index.sqlite").unlink)
        listing = asyncio.create_task(store.list(ALL))
        await asyncio.sleep(0.05)
        assert await store.get(ended.id) == ended
        changed = await commit(store, canceled(await store.get(waiting.id)))
        assert await store.get(waiting.id) == changed
        assert not listing.done()
        go.set()
        assert ids(await listing) == [waiting.id, ended.id]

    async def test_a_run_that_can_not_be_read_is_in_no_list(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        run, bad, gone = [await make(store, ended=True) for _ in range(3)]
        path = tmp_path / "finished" / f"{bad.id}.jsonl"
        path.write_bytes(path.read_bytes().replace(b'Z",', b'",'))
        (tmp_path / "finished" / f"{gone.id}.jsonl").unlink()
        (tmp_path / "finished" / "a b.jsonl").write_bytes(b"{")
        store = await reopen()
        async with asyncio.timeout(30):  # files that are changed by hand are noticed a little later
            while ids(await store.list(ALL)) != [run.id]:
                await asyncio.sleep(0.01)
        with pytest.raises(StoredFileError, match="has no time zone"):
            await store.get(bad.id)
        with pytest.raises(NotFoundError):
            await store.get(gone.id)


class TestDelete:
    async def test_only_runs_that_ended_long_ago_are_found_and_deleted(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        old = await make(store, ended=True, created_at=START, updated_at=START)
        waiting, now = await make(store), datetime.now(UTC)
        new = await commit(store, apply(await make(store), Cancel(by="api"), now).run)
        shown = StepOutputs(
            step="a",
            execution=1,
            outputs=[{"output_type": "stream", "name": "stdout", "text": "t"}],
        )
        async with store.transaction(old.id) as transaction:
            await transaction.commit(transaction.run, outputs=shown)
        assert os.listdir(tmp_path / "outputs") == [f"{old.id}.json"]
        assert await store.ended_before(now - timedelta(days=9), 100) == [old.id]
        assert await store.ended_before(now + timedelta(days=9), 1) == [old.id]
        assert await store.ended_before(now + timedelta(days=9), 9, old.id) == [new.id]
        assert await store.delete([old.id]) == {}
        assert ids(await store.list(ALL)) == [new.id, waiting.id]
        assert os.listdir(tmp_path / "outputs") == []

    async def test_a_run_that_can_not_be_deleted_can_be_deleted_again(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        run, other = [await make(store, ended=True) for _ in range(2)]
        assert ids(await store.list(ALL)) == [other.id, run.id]
        path = tmp_path / "finished" / f"{run.id}.jsonl"
        content = path.read_bytes()
        path.unlink()
        path.mkdir()  # can't be removed as a file
        failed = await store.delete([run.id, other.id])
        assert list(failed) == [run.id], failed
        assert ids(await store.list(ALL)) == [run.id]
        path.rmdir()
        path.write_bytes(content)
        assert await store.delete([run.id]) == {}
        assert await store.list(ALL) == []
