"""The thread that writes: what it confirms is on the disk, and one bad file stays alone."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_pdflow.stores import files
from jupyter_pdflow.stores.tinydb import appended, writer
from jupyter_pdflow.stores.tinydb.writer import Write, WriterThread, stamp_of


@pytest.fixture
async def thread() -> AsyncIterator[WriterThread]:
    before = writer_threads()
    thread = WriterThread()
    yield thread
    await thread.close()
    assert writer_threads() == before


def writer_threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name == "pdflow-writer"}


def line(path: Path, content: bytes, **more: object) -> Write:
    return Write(str(path), content, append=True, **more)  # type: ignore[arg-type]


async def test_lines_and_whole_files(thread: WriterThread, tmp_path: Path) -> None:
    run, outputs = tmp_path / "r.jsonl", tmp_path / "o.json"
    for number in range(3):
        stamp = await thread.write(line(run, b"%d" % number))
        assert stamp == stamp_of(run)
        await thread.write(Write(str(outputs), b"%d" % number))
    assert run.read_bytes() == b"0\n1\n2\n"
    assert outputs.read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["o.json", "r.jsonl"]


async def test_many_at_once_wake_the_loop_seldom(
    thread: WriterThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    answer = writer._answer

    def count(jobs: list, results: list) -> None:  # type: ignore[type-arg]
        batches.append(len(jobs))
        answer(jobs, results)

    monkeypatch.setattr(writer, "_answer", count)
    writes = [thread.write(line(tmp_path / f"{n}.jsonl", b"x")) for n in range(100)]
    await asyncio.gather(*writes)
    assert sum(batches) == 100
    assert len(batches) < 50
    assert len(os.listdir(tmp_path)) == 100


async def test_a_file_moves_when_its_last_line_is_written(
    thread: WriterThread, tmp_path: Path
) -> None:
    (tmp_path / "finished").mkdir()
    run, moved, old = tmp_path / "r.jsonl", tmp_path / "finished" / "r.jsonl", tmp_path / "r.json"
    old.touch()
    await thread.write(line(run, b"1"))
    stamp = await thread.write(line(run, b"2", move_to=str(moved), remove=str(old)))
    assert moved.read_bytes() == b"1\n2\n"
    assert stamp == stamp_of(moved)
    assert not run.exists()
    assert not old.exists()
    await thread.write(line(run, b"3"))
    assert (run.read_bytes(), moved.read_bytes()) == (b"3\n", b"1\n2\n")


async def test_a_write_that_fails_leaves_the_others_alone(
    thread: WriterThread, tmp_path: Path
) -> None:
    results = await asyncio.gather(
        thread.write(line(tmp_path / "missing" / "r.jsonl", b"1")),
        thread.write(line(tmp_path / "r.jsonl", b"1")),
        thread.write(Write(str(tmp_path / "missing" / "o.json"), b"1")),
        return_exceptions=True,
    )
    assert [isinstance(result, OSError) for result in results] == [True, False, True]
    assert (tmp_path / "r.jsonl").read_bytes() == b"1\n"


async def test_a_line_that_can_not_be_synced_is_cut_off(
    thread: WriterThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "r.jsonl"
    await thread.write(line(run, b"1"))
    with monkeypatch.context() as patched:
        patched.setattr(appended, "sync_data", lambda fd: os.fsync(9999))
        with pytest.raises(OSError, match="Bad file descriptor"):
            await thread.write(line(run, b"2"))
    assert run.read_bytes() == b"1\n"
    await thread.write(line(run, b"3"))
    assert run.read_bytes() == b"1\n3\n"


async def test_a_file_that_can_not_be_moved_loses_the_line_that_ended_it(
    thread: WriterThread, tmp_path: Path
) -> None:
    run, moved, old = tmp_path / "r.jsonl", tmp_path / "finished" / "r.jsonl", tmp_path / "r.json"
    ended = line(run, b"ended", move_to=str(moved), remove=str(old))
    old.write_bytes(b"format 1")
    with pytest.raises(FileNotFoundError):
        await thread.write(ended)
    assert os.listdir(tmp_path) == ["r.json"]
    await thread.write(line(run, b"1"))
    with pytest.raises(FileNotFoundError):
        await thread.write(ended)
    assert run.read_bytes() == b"1\n"
    moved.parent.mkdir()
    await thread.write(ended)
    assert moved.read_bytes() == b"1\nended\n"
    assert os.listdir(tmp_path) == ["finished"]


async def test_a_replaced_file_that_can_not_be_written_leaves_nothing(
    thread: WriterThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "o.json"
    await thread.write(Write(str(outputs), b"1"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda fd: os.fdatasync(9999))
        with pytest.raises(OSError, match="Bad file descriptor"):
            await thread.write(Write(str(outputs), b"2"))
    assert os.listdir(tmp_path) == ["o.json"]
    assert outputs.read_bytes() == b"1"


async def test_a_write_whose_file_vanishes_at_once_does_not_end_the_thread(
    thread: WriterThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "r.jsonl"

    def vanish(path: str) -> None:
        Path(path).unlink()
        stamp_of(path)

    with monkeypatch.context() as patched:
        patched.setattr(writer, "stamp_of", vanish)
        with pytest.raises(FileNotFoundError):
            await thread.write(Write(str(run), b"1"))
    await thread.write(line(run, b"2"))
    assert run.read_bytes() == b"2\n"


async def test_a_file_that_was_replaced_meanwhile_is_opened_anew(
    thread: WriterThread, tmp_path: Path
) -> None:
    run, restored = tmp_path / "r.jsonl", tmp_path / "backup"
    await thread.write(line(run, b"1"))
    restored.write_bytes(b"restored\n")
    restored.replace(run)
    await thread.write(line(run, b"2", known=stamp_of(run)))
    assert run.read_bytes() == b"restored\n2\n"


async def test_few_files_stay_open(thread: WriterThread, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(2 * writer.MOST_OPEN):
        await thread.write(line(tmp_path / f"{number}.jsonl", b"1"))
    assert len(os.listdir("/proc/self/fd")) <= before + writer.MOST_OPEN
    await thread.write(line(tmp_path / "0.jsonl", b"2"))
    assert (tmp_path / "0.jsonl").read_bytes() == b"1\n2\n"


async def test_a_large_file_is_replaced_after_its_writes_are_answered(
    thread: WriterThread, tmp_path: Path
) -> None:
    run = tmp_path / "r.jsonl"
    state = b'{"run":{"1":{"text":"%b"}},"history":{"%d":{}}}'
    for number in range(1, 30):
        await thread.write(line(run, state % (b"x" * 10_000, number), known=None))
    assert run.stat().st_size < 30 * 10_000
    assert list(appended.history_of(run.read_bytes())) == list(range(1, 30))


async def test_a_task_that_is_canceled_waits_until_its_write_is_done(
    thread: WriterThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(appended, "sync_data", lambda fd: go.wait(10))
    writing = asyncio.create_task(thread.write(line(tmp_path / "r.jsonl", b"1")))
    await asyncio.sleep(0.05)
    writing.cancel()
    await asyncio.sleep(0.05)
    assert not writing.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert files.read_file(str(tmp_path / "r.jsonl")) == b"1\n"


def test_a_directory_is_synced_once_for_the_files_that_a_batch_makes_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(appended, "sync_directory", synced.append)
    files = writer._OpenFiles()
    with files:
        for batch in (range(5), range(5, 7)):
            writes = [line(tmp_path / f"{number}.jsonl", b"{}") for number in batch]
            assert not any(isinstance(done, Exception) for done in files.carry_out(writes))
    assert synced == [str(tmp_path)] * 2
