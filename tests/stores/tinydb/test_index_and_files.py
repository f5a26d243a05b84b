"""The index keeps up with the files, whatever happens to it, beside the event loop."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.exceptions import IndexUnavailableError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import summary_of
from jupyter_pdflow.stores.tinydb import index_file
from jupyter_pdflow.stores.tinydb.index import INDEX
from jupyter_pdflow.stores.tinydb.index_database import IndexDatabase, RunQuery
from jupyter_pdflow.stores.tinydb.index_source import FolderSource
from jupyter_pdflow.stores.tinydb.layout import (
    ACTIVE,
    DONE_EMAILS,
    FINISHED,
    QUEUED_EMAILS,
    DataDir,
    RecordFolder,
)
from jupyter_pdflow.stores.tinydb.storage import write_record
from jupyter_pdflow.stores.tinydb.writer import stamp_of
from tests.stores.tinydb.indexed import (
    MemorySource,
    OpenIndex,
    ids,
    kill,
    make_email,
    make_run,
)

# --- keeping up with the files --------------------------------------------------------


async def test_a_new_index_reads_everything_in_its_own_thread(
    open_index: OpenIndex, source: MemorySource
) -> None:
    for number in range(250):
        source.put(make_run(f"{number:03}"))
    source.put(make_email("000-1-1-1"))
    index = open_index()
    assert len(await index.runs(RunQuery(limit=500))) == 250
    assert len(await index.emails()) == 1
    assert {name.rpartition("_")[0] for name in source.threads} == {"pdflow-index"}


async def test_after_a_close_only_what_differs_is_read(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    for run_id in "abcd":
        source.store(index, make_run(run_id))
    source.store(index, make_email("b-1-1-1"))
    await index.counts()
    source.put(make_run("e"))
    index.put_run(make_run("e"), None)  # the state of its file is not known
    await index.close()
    source.read.clear()
    del source.runs["a"], source.emails["b-1-1-1"]
    source.put(make_run("b", "failed"))
    source.put(make_run("f"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["f", "e", "d", "c", "b"]
    assert await ids(index.runs(RunQuery(status="failed"))) == ["b"]
    assert await index.emails() == []
    assert sorted(source.read) == ["a", "b", "b-1-1-1", "e", "f"]


async def test_changes_during_the_reading_of_files_are_seen(
    open_index: OpenIndex, source: MemorySource
) -> None:
    for run_id in "abc":
        source.put(make_run(run_id, "running"))
    source.gate.clear()
    index = open_index()
    asking = asyncio.create_task(ids(index.runs(RunQuery())))
    source.store(index, make_run("b"))
    source.store(index, make_run("d"))
    del source.runs["c"]
    index.remove_runs(["c"])
    await asyncio.sleep(0.15)  # longer than changes are gathered
    assert not asking.done()
    source.gate.set()
    assert await asking == ["d", "b", "a"]
    assert await ids(index.runs(RunQuery(status="running"))) == ["a"]


async def test_changes_are_written_without_a_query(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    await index.counts()
    source.store(index, make_run("a"))
    source.store(index, make_run("b"))
    copy = tmp_path / "copy"
    for _ in range(200):
        await asyncio.sleep(0.02)
        shutil.copy(tmp_path / INDEX, copy)
        with sqlite3.connect(copy) as reader:
            found = reader.execute("SELECT id FROM runs ORDER BY id").fetchall()
        reader.close()
        if found == [("a",), ("b",)]:
            return
    pytest.fail("nothing was written")


def remove(path: Path) -> None:
    path.unlink()


def garble(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(path.stat().st_size - 100))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_empty_file(path: Path) -> None:
    path.unlink()
    path.touch()


DAMAGES = [remove, garble, truncate, overwrite, replace_by_folder, replace_by_empty_file]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("when", ["open", "closed"])
async def test_a_file_that_is_deleted_or_damaged_is_made_anew(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource, damage: Any, when: str
) -> None:
    index = open_index()
    for number in range(300):
        run = make_run(f"{number:03}", event=[str(number)])
        source.store(index, run)
    assert len(await index.runs(RunQuery(limit=500))) == 300
    if when == "closed":
        await index.close()
    damage(tmp_path / INDEX)
    if when == "closed":
        index = open_index()
    source.store(index, make_run("new"))
    assert len(await index.runs(RunQuery(limit=500))) == 301
    assert await ids(index.runs(RunQuery(search="299"))) == ["299"]
    assert (await index.counts()).statuses == {"succeeded": 301}


async def test_a_write_that_finds_the_file_deleted_has_it_made_anew(
    tmp_path: Path,
    open_index: OpenIndex,
    source: MemorySource,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = open_index()
    await index.counts()
    (tmp_path / INDEX).unlink()
    source.store(index, make_run("a"))
    for _ in range(200):
        await asyncio.sleep(0.02)
        if "made anew" in caplog.text:
            break
    source.store(index, make_run("b"))
    assert await ids(index.runs(RunQuery())) == ["b", "a"]


async def test_a_file_of_another_version_is_made_anew(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    source.put(make_run("a"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["a"]
    await index.close()
    with sqlite3.connect(tmp_path / INDEX) as other:
        other.execute("PRAGMA user_version = 7")
        other.execute("UPDATE runs SET summary = '{}'")
    other.close()
    assert await ids(open_index().runs(RunQuery())) == ["a"]


async def test_a_summary_that_can_not_be_read_has_the_file_made_anew(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    source.put(make_run("a"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["a"]
    index._file.connection.execute("UPDATE runs SET summary = '{\"id\": 1}'")
    assert await ids(index.runs(RunQuery())) == ["a"]


async def test_an_index_that_can_not_be_made_is_an_error_until_it_can(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put(make_run("a"))
    full = sqlite_error(sqlite3.SQLITE_FULL)

    def fail(*_: object, **__: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(index_file.sqlite3, "connect", fail)
        index = open_index()
        for _ in range(2):
            with pytest.raises(IndexUnavailableError, match="the server's log"):
                await index.runs(RunQuery())
        source.store(index, make_run("b"))
    assert await ids(index.runs(RunQuery())) == ["b", "a"]


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


LASTING = [
    sqlite_error(sqlite3.SQLITE_FULL),
    sqlite_error(sqlite3.SQLITE_IOERR_WRITE),
    sqlite_error(sqlite3.SQLITE_LOCKED),
    sqlite_error(sqlite3.SQLITE_TOOBIG),
    sqlite_error(sqlite3.SQLITE_ERROR),
    KeyError("a programming error"),
]


@pytest.mark.parametrize("failure", LASTING, ids=repr)
@pytest.mark.parametrize("method", ["runs", "put_runs", "compare"])
async def test_an_error_that_is_not_damage_costs_nothing_that_is_indexed(
    open_index: OpenIndex,
    source: MemorySource,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    method: str,
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    assert await ids(index.runs(RunQuery())) == ["a"]
    if method == "compare":  # an update fails, here at a start
        await index.close()
    source.read.clear()

    def fail(*_: object) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(IndexDatabase, method, fail)
        index = open_index() if method == "compare" else index
        source.store(index, make_run("b"))
        for _ in range(2):
            with pytest.raises(IndexUnavailableError, match="the server's log"):
                await index.runs(RunQuery())
    assert await ids(index.runs(RunQuery())) == ["b", "a"]
    assert "a" not in source.read


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT_INDEX, sqlite3.SQLITE_NOTADB])
async def test_an_error_that_means_damage_has_the_file_made_anew(
    open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    assert await ids(index.runs(RunQuery())) == ["a"]
    source.read.clear()
    failures, works = [sqlite_error(code)], IndexDatabase.runs

    def fail_once(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return works(*given)

    monkeypatch.setattr(IndexDatabase, "runs", fail_once)
    assert await ids(index.runs(RunQuery())) == ["a"]
    assert source.read == ["a"]


async def test_a_file_without_its_tables_is_made_anew(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    source.put(make_run("a"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["a"]
    await index.close()
    with sqlite3.connect(tmp_path / INDEX) as other:
        other.execute("DROP TABLE meta")
    other.close()
    assert await ids(open_index().runs(RunQuery())) == ["a"]


async def test_a_file_that_can_not_be_opened_for_now_is_left_alone(
    open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put(make_run("a"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["a"]
    await index.close()
    source.read.clear()

    def fail(*_: object, **__: object) -> None:
        raise sqlite_error(sqlite3.SQLITE_CANTOPEN)

    with monkeypatch.context() as patch:
        patch.setattr(index_file.sqlite3, "connect", fail)
        index = open_index()
        with pytest.raises(IndexUnavailableError):
            await index.runs(RunQuery())
    assert await ids(index.runs(RunQuery())) == ["a"]
    assert source.read == []


async def test_a_source_that_fails_unexpectedly_is_asked_again(
    open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put(make_run("a"))

    def fail(_: str) -> None:
        raise AttributeError

    with monkeypatch.context() as patch:
        patch.setattr(source, "run", fail)
        index = open_index()
        for _ in range(2):
            with pytest.raises(IndexUnavailableError):
                await index.runs(RunQuery())
    assert await ids(index.runs(RunQuery())) == ["a"]


async def test_a_source_that_fails_for_now_costs_nothing_that_is_indexed(
    open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    assert await ids(index.runs(RunQuery())) == ["a"]
    await index.close()
    source.put(make_run("b"))

    def fail(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(source, "run", fail)
        index = open_index()
        with pytest.raises(IndexUnavailableError):
            await index.runs(RunQuery())
    source.read.clear()
    assert await ids(index.runs(RunQuery())) == ["b", "a"]
    assert source.read == ["b"]


# --- kills and power cuts -------------------------------------------------------------


async def test_after_a_kill_only_what_differs_is_read(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    for run_id in "abc":
        source.store(index, make_run(run_id))
    await index.counts()
    await kill(index)
    source.read.clear()
    source.put(make_run("b", "failed"))  # stored, and killed before it was written to the index
    again = open_index()
    assert await ids(again.runs(RunQuery(status="failed"))) == ["b"]
    assert source.read == ["b"]


async def test_after_a_power_cut_everything_is_read(
    open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    for run_id in "abc":
        source.store(index, make_run(run_id))
    await index.counts()
    await kill(index)
    source.read.clear()
    monkeypatch.setattr(index_file, "_boot", lambda: "another one")
    assert await ids(open_index().runs(RunQuery())) == ["c", "b", "a"]
    assert source.read == ["a", "b", "c"]


async def test_after_a_close_and_a_restart_of_the_machine_nothing_is_read(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    await index.counts()
    await index.close()
    source.read.clear()
    monkeypatch.setattr(index_file, "_boot", lambda: "second")
    again = open_index()
    assert await ids(again.runs(RunQuery())) == ["a"]
    assert source.read == []
    await kill(again)  # what was synced at the close says nothing about what came then
    monkeypatch.setattr(index_file, "_boot", lambda: "third")
    assert await ids(open_index().runs(RunQuery())) == ["a"]
    assert source.read == ["a"]


async def test_after_a_close_queries_do_not_wait_for_the_comparison(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    source.store(index, make_run("a"), make_run("b"))
    await index.counts()
    await index.close()
    source.put(make_run("a", "failed"))  # by hand: no file came or went
    for _ in range(2):
        source.gate.clear()
        index = open_index()
        async with asyncio.timeout(10):
            assert await ids(index.runs(RunQuery())) == ["b", "a"]
        closing = asyncio.create_task(index.close())  # before the comparison has ended
        await asyncio.sleep(0)
        source.gate.set()
        await closing
    index = open_index()
    await index.counts()
    assert index._updating is not None
    await index._updating
    assert await ids(index.runs(RunQuery(status="failed"))) == ["a"]


async def test_queries_wait_for_the_comparison_if_files_came_or_went(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    await index.counts()
    await index.close()
    source.put(make_run("b"))
    for _ in range(2):
        source.gate.clear()
        index = open_index()
        asking = asyncio.ensure_future(index.runs(RunQuery()))
        await asyncio.wait([asking], timeout=0.1)
        assert not asking.done()
        source.gate.set()
        assert await ids(asking) == ["b", "a"]
        await kill(index)  # nothing is noted, so the next one compares, too


async def test_a_copy_of_the_file_is_not_trusted(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    await index.counts()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / INDEX, copy)
    source.read.clear()
    assert await ids(open_index(folder=copy).runs(RunQuery())) == ["a"]
    assert source.read == ["a"]


WRITES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from jupyter_pdflow.stores.tinydb.index import Index
from tests.stores.tinydb.indexed import MemorySource, make_run

async def main():
    source, number = MemorySource(), 0
    index = Index(Path(sys.argv[1]), source)
    index.start()
    while True:
        for number in range(number, number + 50):
            source.store(index, make_run(f"{number:06}", event=["word"] * 100))
        number += 1
        await index.counts()
        print(number, flush=True)

asyncio.run(main())
"""


def write_until_killed(folder: Path) -> int:
    """Return how many runs another process has surely written before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_UNTIL_KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        answered = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
    return answered[-1]


async def test_a_process_that_is_killed_leaves_whole_rows(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    count = await asyncio.to_thread(write_until_killed, tmp_path)
    for number in range(count):
        source.put(make_run(f"{number:06}", event=["word"] * 100))
    index = open_index()
    assert (await index.counts()).statuses == {"succeeded": count}
    assert len(await index.runs(RunQuery(limit=9_999, search="word"))) == count
    assert all(run_id >= f"{count:06}" for run_id in source.read)  # the others were not lost


# --- the folders of a data directory --------------------------------------------------


async def test_the_index_of_a_data_directory(tmp_path: Path, open_index: OpenIndex) -> None:
    source, data = FolderSource(tmp_path), DataDir(tmp_path)
    data.write(ACTIVE, "a", make_run("a", "paused", event={"text": "Find me"}))
    data.write(FINISHED, "b", make_run("b"))
    data.write(QUEUED_EMAILS, "a-1-1-1", make_email("a-1-1-1"))
    data.write(DONE_EMAILS, "b-1-1-1", make_email("b-1-1-1", "sent"))
    index = open_index(source)
    assert await ids(index.runs(RunQuery())) == ["b", "a"]
    assert await ids(index.runs(RunQuery(search="find"))) == ["a"]
    assert await index.runs(RunQuery(status="paused")) == [summary_of(make_run("a", "paused"))]
    assert await ids(index.emails()) == ["b-1-1-1", "a-1-1-1"]


async def test_files_of_both_formats_and_unreadable_ones(
    tmp_path: Path, open_index: OpenIndex, caplog: pytest.LogCaptureFixture
) -> None:
    source = FolderSource(tmp_path)
    finished = tmp_path / FINISHED.name
    old = b'{"run":{"1":{"format":1,"id":"old",%b}}}' % (
        b'"workflow_id":"w","workflow_name":"W","version":"1","steps":[],"status":"failed",'
        b'"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","event":"Hay"'
    )
    (finished / "old.json").write_bytes(old)
    (finished / "bad.jsonl").write_bytes(b"{}\n")
    (finished / "folder.jsonl").mkdir()
    (finished / "no id!.jsonl").write_bytes(b"{}\n")
    (finished / "half.json.tmp").write_bytes(b"{}")
    index = open_index(source)
    with caplog.at_level(logging.WARNING):
        assert await ids(index.runs(RunQuery(search="hay"))) == ["old"]
    assert "bad.jsonl" in caplog.text
    assert "folder" not in caplog.text
    assert await ids(index.runs(RunQuery())) == ["old"]


async def test_a_run_that_moves_while_it_is_read_is_found(tmp_path: Path) -> None:
    source, data = FolderSource(tmp_path), DataDir(tmp_path)
    data.write(ACTIVE, "a", make_run("a"))
    stamps = source.run_stamps()
    assert next(stamps)[0] == "a"
    data.file(ACTIVE, "a").rename(tmp_path / FINISHED.name / "a.jsonl")
    assert [run_id for run_id, _ in stamps] == ["a"]
    found = source.run("a")
    assert found is not None
    assert found[1] == stamp_of(tmp_path / FINISHED.name / "a.jsonl")
    assert source.run("unknown") is None


async def test_a_run_whose_file_becomes_a_folder_is_in_no_list(tmp_path: Path) -> None:
    source = FolderSource(tmp_path)
    (tmp_path / "active" / "odd.jsonl").mkdir()
    assert source.run("odd") is None


async def test_the_newer_of_two_files_of_a_run_counts(
    tmp_path: Path, open_index: OpenIndex
) -> None:
    source, data = FolderSource(tmp_path), DataDir(tmp_path)
    folder: RecordFolder[Run] = ACTIVE
    data.write(folder, "a", make_run("a", "paused"))
    fields = b'{"id":"a","workflow_id":"w","workflow_name":"W","version":"1","steps":[]}'
    write_record(tmp_path / ACTIVE.name / "a.json", fields, "run")
    for _ in range(2):  # it is read again at each start, until one of the files has gone
        index = open_index(source)
        assert await ids(index.runs(RunQuery(status="paused"))) == ["a"]
        await index.close()


# --- beside the event loop ------------------------------------------------------------


async def test_the_loop_continues_while_an_index_is_made(
    open_index: OpenIndex, source: MemorySource
) -> None:
    source.gate.clear()
    index = open_index()
    asking = asyncio.create_task(index.counts())
    for _ in range(100):
        await asyncio.sleep(0)
        source.store(index, make_run("a", "running"))
    source.gate.set()
    assert sum((await asking).of_status("running").values()) == 1


async def test_a_canceled_query_loses_no_change(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    await index.counts()
    source.store(index, make_run("a"))
    asking = asyncio.create_task(index.counts())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await ids(index.runs(RunQuery())) == ["a"]


async def test_a_close_while_files_are_read_stops_the_reading(
    open_index: OpenIndex, source: MemorySource
) -> None:
    for number in range(1_000):
        source.put(make_run(f"{number:04}"))
    index = open_index()
    while not source.read:
        await asyncio.sleep(0)
    await index.close()
    assert len(source.read) < 1_000
    source.read.clear()
    again = open_index()
    assert len(await again.runs(RunQuery(limit=2_000))) == 1_000
    assert len(source.read) < 1_000  # what was read before the close is kept
