"""Runs are written under load by a process of its own; nothing is lost if it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from filelock import FileLock
from msgspec import Raw
from msgspec.json import encode

from jupyter_pdflow.stores.tinydb import writer
from jupyter_pdflow.stores.tinydb import writer as writer_process
from jupyter_pdflow.stores.tinydb.storage import parse_record
from jupyter_pdflow.stores.tinydb.writer import Order, Writer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has threads only")
SECONDS = 10.0


def processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if is_writer(child)]


def is_writer(process: psutil.Process) -> bool:
    try:
        return writer_process.__name__ in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended, or is a zombie that asyncio has yet to wait for
        return False


def order(path: Path, number: int = 0, leaving: Path | None = None) -> Order:
    fields = {"id": path.stem, "n": number, "text": "é\n…"}
    return Order(
        str(path), "run", Raw(orjson.dumps(fields)), None if leaving is None else str(leaving)
    )


def read(path: Path) -> dict[str, Any]:
    return parse_record(path.read_bytes(), "run", path.name)


async def load(busy: Writer, path: Path) -> None:
    """Write until a process has started."""
    async with asyncio.timeout(SECONDS):
        while busy._process is None:
            await busy.write(order(path))


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Writer]:
    found = Writer(path)
    try:
        yield found
    finally:
        await found.close()


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MANY", 5)


async def test_without_load_there_is_no_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as calm:
        for number in range(writer.MANY - 1):
            await calm.write(order(tmp_path / "r.json", number))
        assert processes() == []
        assert os.listdir(tmp_path) == ["r.json"]


@pytest.mark.usefixtures("_soon")
async def test_under_load_a_process_writes(tmp_path: Path) -> None:
    path, other = tmp_path / "r.json", tmp_path / "other.json"
    async with opened(tmp_path) as busy:
        await load(busy, path)
        stamp = await busy.write(order(path, 7))
        assert read(path) == {"format": 1, "id": "r", "n": 7, "text": "é\n…"}
        status = path.stat()
        assert stamp == (status.st_ino, status.st_mtime_ns, status.st_size)
        await asyncio.gather(*(busy.write(order(tmp_path / f"{n}.json", n)) for n in range(50)))
        assert all(read(tmp_path / f"{n}.json")["n"] == n for n in range(50))
        await busy.write(order(other, 8, leaving=path))
        assert read(other)["n"] == 8
        assert not path.exists()
        assert len(processes()) == 1
    assert processes() == []
    assert not (tmp_path / "spare").exists()


@pytest.mark.usefixtures("_soon")
async def test_the_process_ends_when_it_is_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.1)
    async with opened(tmp_path) as busy:
        for _ in range(2):
            await load(busy, tmp_path / "r.json")
            async with asyncio.timeout(SECONDS):
                while processes():
                    await asyncio.sleep(0.02)


@pytest.mark.usefixtures("_soon")
async def test_errors_of_the_process_are_raised_in_the_server(tmp_path: Path) -> None:
    async with opened(tmp_path) as busy:
        await load(busy, tmp_path / "r.json")
        with pytest.raises(FileNotFoundError, match="No such file"):
            await busy.write(order(tmp_path / "missing" / "r.json"))
        await busy.write(order(tmp_path / "r.json", 3))
    assert read(tmp_path / "r.json")["n"] == 3


@pytest.mark.usefixtures("_soon")
async def test_nothing_is_lost_if_the_process_dies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as busy:
        await load(busy, tmp_path / "r.json")
        process = processes()[0]
        process.suspend()
        writing = [
            asyncio.create_task(busy.write(order(tmp_path / f"{n}.json", n))) for n in range(9)
        ]
        await asyncio.sleep(0.05)
        process.kill()
        await asyncio.gather(*writing)
        assert all(read(tmp_path / f"{n}.json")["n"] == n for n in range(9))
        await busy.write(order(tmp_path / "r.json", 1))
        assert processes() == []
    assert "written by threads for a while" in caplog.text


@pytest.mark.usefixtures("_soon")
async def test_nothing_is_lost_if_the_process_can_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer_process, "COMMAND", (sys.executable, "-c", "print('no')"))
    async with opened(tmp_path) as busy:
        async with asyncio.timeout(SECONDS):
            while not caplog.text:
                await busy.write(order(tmp_path / "r.json", 5))
                await asyncio.sleep(0.01)
        assert read(tmp_path / "r.json")["n"] == 5
    assert "has ended before it was ready" in caplog.text


@pytest.mark.usefixtures("_soon")
async def test_a_canceled_caller_waits_until_the_record_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as busy:
        await load(busy, tmp_path / "r.json")
        process = processes()[0]
        process.suspend()
        writing = asyncio.create_task(busy.write(order(tmp_path / "r.json", 4)))
        await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.sleep(0.05)
        assert not writing.done()
        process.resume()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert read(tmp_path / "r.json")["n"] == 4


async def test_the_process_has_a_lock_and_ends_with_its_server_only(tmp_path: Path) -> None:
    async with writer_process.running(tmp_path) as running:
        process = processes()[0]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        await running.write(order(tmp_path / "r.json"))
        with pytest.raises(TimeoutError), FileLock(tmp_path / writer_process.LOCK).acquire(0):
            pass
    assert processes() == []
    assert os.listdir(tmp_path) == ["r.json"]


def test_the_process_ends_silently_if_its_server_has_died(tmp_path: Path) -> None:
    command = [*writer_process.COMMAND, str(tmp_path)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, **pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == writer_process.READY
    process.stdout.close()
    process.stdin.write(encode(order(tmp_path / "r.json", 1)) + b"\n")
    process.stdin.write(encode(order(tmp_path / "r.json", 2))[:-9])
    process.stdin.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(SECONDS) == 0
    assert read(tmp_path / "r.json")["n"] == 1
    assert os.listdir(tmp_path) == ["r.json"]


def test_spare_files_of_a_crashed_server_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "spare" / "1.tmp"
    left.parent.mkdir()
    left.touch()
    Writer(tmp_path)
    assert os.listdir(tmp_path) == []
