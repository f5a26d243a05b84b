"""The store on TinyDB: runs, workflows and outputs survive reopening and damaged files."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import replace
from ulid import ULID

from jupyter_pdflow.engine.queue import Ids
from jupyter_pdflow.exceptions import NewerFormatError, NotFoundError, StoredFileError
from jupyter_pdflow.rules.events import Begin, Cancel
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Error, Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.rules.workflow import Source, StepSource
from jupyter_pdflow.server.api.models import run_item, run_view
from jupyter_pdflow.stores import summary_of
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.storage import TEMPORARY
from jupyter_pdflow.stores.tinydb.store import EXECUTIONS_KEPT, TinyDBStore
from tests.rules.support import START, RunDriver, suspend, workflow
from tests.stores.tinydb.conftest import OpenActive

Open = Callable[[], TinyDBStore]


IDS = Ids()
"""Ids in the order in which they are made, also within a millisecond."""


@pytest.fixture
def reopen(tmp_path: Path, open_active: OpenActive) -> Open:
    return lambda: open_active(tmp_path)[0]


async def make(store: TinyDBStore, workflow_id: str = "w", *, ended: bool = False) -> Run:
    run = new_run(
        IDS.new(datetime.now(UTC)), workflow("a"), {"é": [1, None, 2.5]}, datetime.now(UTC)
    ).run
    await store.put(run)
    if ended:
        run = apply(run, Cancel(by="api"), START).run
        await store.finish(run)
    return run


def links_for(run_id: str, step: str, execution: int) -> tuple[str, str]:
    return f"{run_id}/{step}/{execution}", "cancel"


class TestRuns:
    async def test_a_run_is_read_back_as_it_was(self, reopen: Open) -> None:
        driver = RunDriver("a", "b", event={"deep": [{"x": "…"}]})
        driver.step(**suspend(), exports={"$return_value": {"n": 1}})
        store = reopen()
        await store.put(driver.run)
        assert store.get("r") == driver.run
        assert reopen().get("r") == driver.run

    async def test_a_run_that_is_being_written_is_read_as_it_was_before(
        self, reopen: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = reopen()
        run = await make(store)
        written, go = threading.Event(), threading.Event()

        def sync(_fd: int) -> None:
            written.set()
            go.wait(10)

        monkeypatch.setattr(appended, "sync_data", sync)
        for write, change in ((store.put, Begin()), (store.finish, Cancel(by="api"))):
            changed = apply(run, change, START).run
            writing = asyncio.create_task(write(changed))
            await asyncio.to_thread(written.wait, 10)
            assert store.get(run.id) == run
            assert [found.id for found in await store.page(status=run.status)] == [run.id]
            go.set()
            await writing
            assert store.get(run.id) == changed
            assert await store.page(status=run.status) == []
            run = changed
            written.clear()
            go.clear()

    async def test_a_run_that_a_crash_left_in_both_folders_has_ended(
        self, reopen: Open, tmp_path: Path
    ) -> None:
        store = reopen()
        run = await make(store)
        path = tmp_path / "active" / f"{run.id}.jsonl"
        before = path.read_bytes()
        await store.finish(apply(run, Cancel(by="api"), START).run)
        path.write_bytes(before)
        store = reopen()
        assert store.get(run.id).status == "canceled"
        assert not path.exists()

    async def test_ended_runs_move_and_are_not_read_at_a_start(
        self, reopen: Open, tmp_path: Path, open_active: OpenActive
    ) -> None:
        store = reopen()
        ended, waiting = await make(store, ended=True), await make(store)
        assert os.listdir(tmp_path / "finished") == [f"{ended.id}.jsonl"]
        assert os.listdir(tmp_path / "active") == [f"{waiting.id}.jsonl"]
        again, active_runs = open_active(tmp_path)
        assert [run.id for run in active_runs] == [waiting.id]
        assert again.get(ended.id) == ended

    async def test_an_unknown_run(self, reopen: Open) -> None:
        for run_id in ("nope", "../active/x", ""):
            with pytest.raises(NotFoundError):
                reopen().get(run_id)

    async def test_a_deleted_file_is_an_unknown_run(self, reopen: Open, tmp_path: Path) -> None:
        store = reopen()
        run = await make(store)
        (tmp_path / "active" / f"{run.id}.jsonl").unlink()
        with pytest.raises(NotFoundError):
            store.get(run.id)
        assert await store.page() == []

    async def test_pages_are_newest_first_even_after_a_start(self, reopen: Open) -> None:
        store = reopen()
        ids = [(await make(store, ended=number % 2 == 0)).id for number in range(7)]
        for each in (store, reopen()):
            first = [run.id for run in await each.page(limit=3)]
            rest = [run.id for run in await each.page(limit=10, before=first[-1])]
            assert first + rest == ids[::-1]
            assert len(await each.page(status="canceled")) == 4
            assert len(await each.page(status="queued", limit=2)) == 2
            assert await each.page(status="failed") == []
            assert await each.page(workflow_id="other") == []

    async def test_a_list_keeps_no_large_data_in_memory(self, reopen: Open) -> None:
        store = reopen()
        large = {"$return_value": "x" * 5_000_000}
        for ended in (False, True):
            driver = RunDriver("a", "b", event={"x": "y" * 500_000})
            run = replace(driver.step(**suspend(), exports=large), id=f"run-{ended}")
            await store.put(run)
            if ended:
                await store.finish(apply(run, Cancel(by="api"), START).run)
        for each in (store, reopen()):
            tracemalloc.start()
            (finished, paused) = await each.page()
            kept, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert kept < 1_000_000
            assert peak < 10_000_000
            assert (finished.status, paused.status) == ("canceled", "paused")
            assert paused.pause is not None
            assert paused.pause.deadline == run.pause.deadline
            assert [step.status for step in paused.steps] == ["paused", "pending"]

    async def test_the_summary_of_a_run_agrees_with_the_run(self, reopen: Open) -> None:
        store = reopen()
        failing = RunDriver("a", "b")
        failing.step(error=Error(ename="E", evalue="no", traceback=["t"], step="a"))
        waiting = RunDriver("a", "b")
        waiting.step(**suspend(), exports={"n": 1})
        ended = apply(waiting.run, Cancel(by="api", reason="enough"), START).run
        for number, run in enumerate((failing.run, waiting.run, ended)):
            await store.put(replace(run, id=str(number)))
        for found in await store.page():
            run = store.get(found.id)
            assert found == summary_of(run)
            shown = to_builtins(run_view(run, links_for))
            del shown["event"]
            for step in shown["steps"]:
                del step["exports"]
            assert to_builtins(run_item(found, links_for)) == shown

    async def test_lists_while_their_runs_change(self, reopen: Open) -> None:
        before = reopen()
        ids = [(await make(before, ended=True)).id for _ in range(700)]
        store = reopen()
        last = await make(store)

        async def change() -> None:
            for run_id in ids[::7]:
                await store.remove([run_id])
            await store.finish(apply(last, Cancel(by="api"), START).run)

        lists = [store.page(status="canceled", limit=1_000) for _ in range(4)]
        _, *found = await asyncio.gather(change(), *lists)
        left = [run_id for number, run_id in enumerate(ids) if number % 7]
        for runs in found:
            shown = [run.id for run in runs]
            assert shown == sorted(set(shown), reverse=True)
            assert {*left} <= {*shown} <= {*ids, last.id}
        assert [run.id for run in await store.page(limit=1_000)] == [last.id, *reversed(left)]

    async def test_a_list_does_not_block_the_event_loop(self, reopen: Open, tmp_path: Path) -> None:
        run = await make(reopen(), ended=True)
        content = (tmp_path / "finished" / f"{run.id}.jsonl").read_bytes()
        for _ in range(5_000):
            run_id = str(ULID())
            path = tmp_path / "finished" / f"{run_id}.jsonl"
            path.write_bytes(content.replace(run.id.encode(), run_id.encode()))
        store = reopen()
        listing = asyncio.create_task(store.page(status="failed"))
        turns = 0
        while not listing.done():
            await asyncio.sleep(0)
            turns += 1
        assert await listing == []
        assert turns > 25  # one for each READ_AT_ONCE at least

    async def test_only_lists_wait_for_the_index_of_finished_runs(
        self, reopen: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = reopen()
        ended, waiting = await make(before, ended=True), await make(before)
        store, go, recover = reopen(), threading.Event(), Records.recover

        def recover_late(records: Records[Run]) -> list[str]:
            go.wait(10)
            return recover(records)

        monkeypatch.setattr(Records, "recover", recover_late)
        listing = asyncio.create_task(store.page())
        await asyncio.sleep(0)
        assert store.get(ended.id) == ended
        canceled = apply(store.get(waiting.id), Cancel(by="link"), START).run
        await store.finish(canceled)
        assert store.get(waiting.id) == canceled
        assert not listing.done()
        go.set()
        assert [run.id for run in await listing] == [waiting.id, ended.id]

    @pytest.mark.parametrize("run_id", ["x" * 300, "a/b", "\0", "..", "é" * 101, "\ud800", ""])
    async def test_an_invalid_id_is_an_unknown_run(self, reopen: Open, run_id: str) -> None:
        with pytest.raises(NotFoundError, match="There is no run"):
            reopen().get(run_id)

    async def test_unreadable_files_are_quarantined_and_the_others_are_read(
        self,
        reopen: Open,
        tmp_path: Path,
        open_active: OpenActive,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        run = await make(reopen())
        active = tmp_path / "active"
        content = (active / f"{run.id}.jsonl").read_bytes()
        (active / "damaged.jsonl").write_bytes(content + b'{"run"\n')
        (active / "other.jsonl").write_bytes(b"notes without a newline")
        (active / "old.json").write_bytes(b'{"run"')
        (active / "empty.json").touch()
        (active / "copy.jsonl").write_bytes(content)
        (active / "newer.jsonl").write_bytes(b'{"run": {"1": {"format": 9}}}\n')
        (active / "half.jsonl.tmp").write_bytes(b"{")
        (active / "notes.txt").touch()
        _, active_runs = open_active(tmp_path)
        assert [found.id for found in active_runs] == [run.id]
        assert sorted(os.listdir(active)) == sorted(
            [
                f"{run.id}.jsonl",
                "damaged.jsonl.unreadable",
                "other.jsonl.unreadable",
                "old.json.unreadable",
                "empty.json.unreadable",
                "copy.jsonl.unreadable",
                "newer.jsonl",
                "notes.txt",
            ]
        )
        assert (active / "damaged.jsonl.unreadable").read_bytes() == content + b'{"run"\n'
        assert "damaged.jsonl is not JSON" in caplog.text

    async def test_a_file_with_a_flaw_is_quarantined(
        self,
        reopen: Open,
        tmp_path: Path,
        open_active: OpenActive,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        store = reopen()
        run, bad = await make(store), await make(store)
        path = tmp_path / "active" / f"{bad.id}.jsonl"
        path.write_bytes(path.read_bytes().replace(b'"position":0', b'"position":1'))
        _, active_runs = open_active(tmp_path)
        assert [found.id for found in active_runs] == [run.id]
        assert f"{path.name} can't be used: it is at a step that it does not have." in caplog.text
        assert path.with_name(f"{path.name}.unreadable").exists()

    async def test_a_finished_run_with_a_flaw_is_unreadable(
        self, reopen: Open, tmp_path: Path
    ) -> None:
        run, bad = await make(reopen(), ended=True), await make(reopen(), ended=True)
        path = tmp_path / "finished" / f"{bad.id}.jsonl"
        path.write_bytes(path.read_bytes().replace(b'Z",', b'",'))
        store = reopen()
        assert [found.id for found in await store.page()] == [run.id]
        with pytest.raises(StoredFileError, match="has no time zone"):
            store.get(bad.id)

    async def test_files_with_invalid_names_are_quarantined(
        self, reopen: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = await make(reopen())
        names = ["a b.jsonl", ".jsonl", "\udcff.jsonl", "x\ny.json", f"{'x' * 249}.jsonl"]
        for folder in ("active", "finished"):
            for name in names:
                (tmp_path / folder / name).write_bytes(b"{")
        assert [found.id for found in await reopen().page()] == [run.id]
        for folder in ("active", "finished"):
            left = set(os.listdir(tmp_path / folder)) - {f"{run.id}.jsonl"}
            assert len(left) == len(names)
            assert all(".unreadable" in name for name in left)
        assert "'x\\ny.json' is not a name of a record" in caplog.text

    @pytest.mark.parametrize("folder", ["active", "finished", "outputs", "workflows"])
    async def test_a_file_instead_of_a_folder_is_quarantined(
        self, reopen: Open, tmp_path: Path, folder: str
    ) -> None:
        (tmp_path / folder).write_bytes(b"content")
        store = reopen()
        run = await make(store)
        assert reopen().get(run.id) == run
        assert (tmp_path / f"{folder}.unreadable").read_bytes() == b"content"

    async def test_a_file_that_can_not_be_quarantined_stays(
        self, reopen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = await make(reopen())
        (tmp_path / "active" / "x.json").write_bytes(b"{")

        def refuse(path: Path, target: Path) -> Path:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "rename", refuse)
        assert [found.id for found in await reopen().page()] == [run.id]
        assert (tmp_path / "active" / "x.json").exists()

    async def test_an_invalid_id_makes_no_path(self, reopen: Open, tmp_path: Path) -> None:
        store = reopen()
        run = await make(store)
        for wrong in ("../../pwn", "/tmp/pwn", "a/b", "..", "", "a\n", "a\0", "ä", "x" * 300):
            with pytest.raises(StoredFileError, match="is not the id of a record"):
                await store.put(replace(run, id=wrong))
            with pytest.raises(StoredFileError, match="is not the id of a record"):
                await store.finish(replace(run, id=wrong))
            assert store.outputs(wrong) == {}
        assert not list(tmp_path.parent.glob("pwn*"))

    async def test_a_file_whose_first_line_was_cut_off_by_a_crash_goes(
        self, reopen: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = reopen()
        run, other = await make(store), await make(store)
        active = tmp_path / "active"
        content = (active / f"{run.id}.jsonl").read_bytes()
        for length in (0, 1, 20, 100, len(content) - 1):
            (active / f"cut-{length}.jsonl").write_bytes(content[:length])
        with (active / f"{other.id}.jsonl").open("ab") as file:
            file.write(content[:100])
        store = reopen()
        assert [store.get(each.id) for each in (run, other)] == [run, other]
        assert sorted(os.listdir(active)) == [f"{run.id}.jsonl", f"{other.id}.jsonl"]
        assert "cut-20.jsonl was cut off when it was new, and is removed." in caplog.text

    async def test_a_finished_run_whose_move_was_lost_moves_at_the_next_finish(
        self, reopen: Open, tmp_path: Path, open_active: OpenActive
    ) -> None:
        run = await make(reopen(), ended=True)
        active, finished = tmp_path / "active", tmp_path / "finished"
        (finished / f"{run.id}.jsonl").rename(active / f"{run.id}.jsonl")
        store, active_runs = open_active(tmp_path)
        assert active_runs == [run]
        assert store.get(run.id) == run
        await store.finish(run)
        assert store.get(run.id) == run
        assert [found.id for found in await store.page(status="canceled")] == [run.id]
        assert os.listdir(active) == []
        assert os.listdir(finished) == [f"{run.id}.jsonl"]
        assert open_active(tmp_path)[1] == []

    async def test_a_run_that_was_put_as_ended_is_only_moved_by_finish(
        self, reopen: Open, tmp_path: Path
    ) -> None:
        store = reopen()
        ended = apply(await make(store), Cancel(by="api"), START).run
        await store.put(ended)
        content = (tmp_path / "active" / f"{ended.id}.jsonl").read_bytes()
        await store.finish(ended)
        await store.finish(ended)
        assert (tmp_path / "finished" / f"{ended.id}.jsonl").read_bytes() == content
        assert os.listdir(tmp_path / "active") == []

    @pytest.mark.parametrize("fault", ["pwrite", "fdatasync", "replace"])
    async def test_a_run_that_can_not_be_stored_is_as_it_was_before(
        self, reopen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        store = reopen()
        run = await make(store)
        changed, ended = apply(run, Begin(), START).run, apply(run, Cancel(by="api"), START).run
        new = new_run("new", workflow("a"), None, START).run

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, fault, fail)
            writes = [] if fault == "replace" else [store.put(changed), store.put(new)]
            for write in (*writes, store.finish(ended)):
                with pytest.raises(OSError, match="No space"):
                    await write
        for each in (store, reopen()):
            assert each.get(run.id) == run
            assert [found.id for found in await each.page()] == [run.id]
        assert os.listdir(tmp_path / "active") == [f"{run.id}.jsonl"]
        assert os.listdir(tmp_path / "finished") == []
        await store.finish(ended)
        assert reopen().get(run.id) == ended

    async def test_quarantine_overwrites_nothing(self, reopen: Open, tmp_path: Path) -> None:
        active = tmp_path / "active"
        for content in (b"one", b"two"):
            active.mkdir(exist_ok=True)
            (active / "x.json").write_bytes(content)
            reopen()
        assert (active / "x.json.unreadable").read_bytes() == b"one"
        assert (active / "x.json.unreadable-2").read_bytes() == b"two"

    async def test_only_old_finished_runs_are_listed_and_removed(
        self, reopen: Open, tmp_path: Path
    ) -> None:
        store = reopen()
        old, new, waiting = (
            await make(store, ended=True),
            await make(store, ended=True),
            await make(store),
        )
        await store.put_outputs(
            old.id, "a", 1, [{"output_type": "stream", "name": "x", "text": "t"}]
        )
        past = (datetime.now(UTC) - timedelta(days=10)).timestamp()
        os.utime(tmp_path / "finished" / f"{old.id}.jsonl", (past, past))
        os.utime(tmp_path / "active" / f"{waiting.id}.jsonl", (past, past))
        assert await store.ended_before(datetime.now(UTC) - timedelta(days=9)) == [old.id]
        assert await store.remove([old.id]) == {}
        assert [run.id for run in await store.page()] == [waiting.id, new.id]
        assert os.listdir(tmp_path / "outputs") == []


class TestHistory:
    def entry(self, number: int) -> HistoryEntry:
        return HistoryEntry(
            at=START, event="resume", step="a", execution=number, attempt=1, by="Ann", note="é" * 9
        )

    def entries(self, *numbers: int) -> list[HistoryEntry]:
        return [self.entry(number) for number in numbers]

    async def test_entries_are_numbered_in_order_over_a_reopening(self, reopen: Open) -> None:
        store = reopen()
        run = await make(store)
        assert await store.history(run.id) == {}
        await store.put(run, self.entries(1))
        await store.put(run, self.entries(2, 3))
        await store.put(run)
        assert await store.history(run.id) == {n: self.entry(n) for n in (1, 2, 3)}
        store = reopen()
        await store.put(run, self.entries(4))
        ended = apply(run, Cancel(by="api"), START).run
        await store.finish(ended, self.entries(5, 6))
        for each in (store, reopen()):
            found = await each.history(run.id)
            assert list(found.items()) == [(n, self.entry(n)) for n in range(1, 7)]
            assert each.get(run.id) == ended

    async def test_entries_stay_when_a_large_file_is_replaced(
        self, reopen: Open, tmp_path: Path
    ) -> None:
        store, replaced = reopen(), 0
        run = replace(await make(store), event="x" * 20_000)
        path = tmp_path / "active" / f"{run.id}.jsonl"
        inode = path.stat().st_ino
        for number in range(1, 31):
            await store.put(run, self.entries(number))
            replaced += inode != path.stat().st_ino
            inode = path.stat().st_ino
        assert replaced > 2
        assert path.stat().st_size < 10 * 20_000
        for each in (store, reopen()):
            assert await each.history(run.id) == {n: self.entry(n) for n in range(1, 31)}
        await store.finish(apply(run, Cancel(by="api"), START).run, self.entries(31))
        assert list(await reopen().history(run.id)) == list(range(1, 32))

    async def test_an_entry_that_can_not_be_stored_leaves_no_gap(
        self, reopen: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = reopen()
        run = await make(store)
        await store.put(run, self.entries(1))

        def fail(fd: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(appended, "sync_data", fail)
            with pytest.raises(OSError, match="No space"):
                await store.put(run, self.entries(9))
        await store.put(run, self.entries(2))
        assert await store.history(run.id) == {n: self.entry(n) for n in (1, 2)}

    async def test_a_run_that_moves_while_its_history_is_read(self, reopen: Open) -> None:
        store = reopen()
        run = await make(store)
        await store.put(run, self.entries(1))
        for _ in range(20):
            ended = apply(run, Cancel(by="api"), START).run
            reads = [store.history(run.id) for _ in range(5)]
            _, *found = await asyncio.gather(store.finish(ended, self.entries(2)), *reads)
            assert all(each[1] == self.entry(1) for each in found)
            run = await make(store)
            await store.put(run, self.entries(1))

    async def test_the_history_of_an_unknown_run(self, reopen: Open) -> None:
        for run_id in ("nope", "../active/x", ""):
            with pytest.raises(NotFoundError):
                await reopen().history(run_id)


class TestBackup:
    async def test_a_copy_that_is_made_while_runs_are_written_opens(
        self, reopen: Open, tmp_path: Path, open_active: OpenActive
    ) -> None:
        store = reopen()
        runs = [await make(store) for _ in range(5)]
        stored: dict[str, list[Run]] = {run.id: [run] for run in runs}
        copies: list[Path] = []
        writing = True

        def copy() -> None:
            while writing:
                copies.append(tmp_path.with_name(f"{tmp_path.name}-copy-{len(copies)}"))
                copy_folder(tmp_path, copies[-1])

        async def write() -> None:
            for number in range(200):
                # Every tenth state is large, so that files are replaced too.
                size = 30_000 if number % 10 == 0 else number
                run = replace(runs[number % len(runs)], event="x" * size, crashes=number)
                stored[run.id].append(run)
                await store.put(run)

        copying = asyncio.create_task(asyncio.to_thread(copy))
        await write()
        writing = False
        await copying
        assert len(copies) > 1
        for path in copies:
            _, found = open_active(path)
            assert [run.id for run in found] == [run.id for run in runs]
            assert all(run in stored[run.id] for run in found)
            assert not list(path.rglob("*.unreadable"))
            shutil.rmtree(path)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder as backups do: a temporary file that is gone when its turn comes is skipped."""
    missed: list[str] = []
    try:
        shutil.copytree(source, target)
    except shutil.Error as error:
        missed = [name for name, *_ in error.args[0]]
    assert all(name.endswith(TEMPORARY) for name in missed), missed


class TestWorkflows:
    def source(self, text: str) -> Source:
        step = StepSource(name="a", source=text)
        return Source(kernel_name="python3", setup=(), steps=(step,))

    async def test_versions_of_a_workflow(self, reopen: Open) -> None:
        store = reopen()
        first, new = await store.deploy("sub/My Flow.ipynb", self.source("1"), START)
        assert new
        assert (first.id, first.name) == ("sub-my-flow", "My Flow")
        assert await store.deploy("sub/My Flow.ipynb", self.source("1"), START) == (first, False)
        second, new = await store.deploy("sub/My Flow.ipynb", self.source("2"), START)
        assert new
        assert second.version != first.version
        for each in (store, reopen()):
            assert each.workflow("sub-my-flow") == second
            assert each.workflow("sub-my-flow", first.version) == first
            assert each.workflows() == [second]
        assert (await store.deploy("sub/My Flow.ipynb", self.source("1"), START))[1]
        assert reopen().workflow("sub-my-flow").version == first.version

    async def test_a_file_that_was_not_loaded_is_not_overwritten(
        self, reopen: Open, tmp_path: Path
    ) -> None:
        first, _ = await reopen().deploy("flow.ipynb", self.source("1"), START)
        path = tmp_path / "workflows" / "flow.json"
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"format":2', b'"format":9'))
        store = reopen()
        with pytest.raises(NewerFormatError):
            await store.deploy("flow.ipynb", self.source("2"), START)
        path.write_bytes(content)
        second, _ = await store.deploy("flow.ipynb", self.source("2"), START)
        assert reopen().workflow("flow", first.version) == first
        assert reopen().workflow("flow") == second

    async def test_two_paths_never_have_the_same_id(self, reopen: Open) -> None:
        store = reopen()
        paths = ["a/b.ipynb", "a-b.ipynb", "A-B.ipynb", "日本.ipynb", "…/…ipynb"]
        ids = [(await store.deploy(path, self.source("1"), START))[0].id for path in paths]
        assert len(set(ids)) == len(paths)
        again = [(await reopen().deploy(path, self.source("1"), START))[0].id for path in paths]
        assert again == ids

    async def test_an_unknown_workflow(self, reopen: Open) -> None:
        with pytest.raises(NotFoundError, match="nope"):
            reopen().workflow("nope")


class TestOutputs:
    def output(self, text: str) -> dict[str, str]:
        return {"output_type": "stream", "name": "stdout", "text": text}

    async def test_outputs_by_step_in_order(self, reopen: Open) -> None:
        store = reopen()
        await store.put_outputs("r", "a", 1, [self.output("1")])
        await store.put_outputs("r", "a", 2, [self.output("2")])
        await store.put_outputs("r", "b", 2, [])
        await store.put_outputs("r", "a", 1, [self.output("again")])
        found = reopen().outputs("r")
        assert [output["text"] for output in found["a"]] == ["2", "again"]
        assert "b" not in found
        assert store.outputs("other") == {}

    async def test_old_executions_are_dropped_with_a_note(self, reopen: Open) -> None:
        store = reopen()
        for execution in range(1, EXECUTIONS_KEPT + 4):
            await store.put_outputs("r", "a", execution, [self.output(str(execution))])
        found = store.outputs("r")["a"]
        assert len(found) == EXECUTIONS_KEPT + 1
        assert "first 3 executions" in found[0]["text"]
        assert found[1]["text"] == "4"

    async def test_unreadable_outputs_are_not_overwritten(
        self, reopen: Open, tmp_path: Path
    ) -> None:
        store = reopen()
        for number, content in enumerate((b"{", b'{"outputs": {"1": {"format": 9}}}'), start=1):
            (tmp_path / "outputs" / "r.json").write_bytes(content)
            assert store.outputs("r") == {}
            await store.put_outputs("r", "a", 1, [self.output("1")])
            assert store.outputs("r") == {"a": [self.output("1")]}
            aside = "r.json.unreadable" + ("" if number == 1 else f"-{number}")
            assert (tmp_path / "outputs" / aside).read_bytes() == content
