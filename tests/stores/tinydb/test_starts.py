"""One key gives one run, and the marks of schedules stay."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from jupyter_pdflow.exceptions import (
    RunDeletedError,
    StorageUnavailableError,
    StoredFileError,
)
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import IdempotencyKey, RunQuery, ScheduleMark
from jupyter_pdflow.stores.tinydb.record_types import KeyRecord
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.rules.support import START
from tests.stores.tinydb.conftest import Reopen
from tests.stores.tinydb.support import canceled, commit, failing, run_of

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def key(text: str = "order 7", scope: str = "w") -> IdempotencyKey:
    return IdempotencyKey(scope=scope, key=text, expires_at=START + DAY)


def mark(trigger: str = "nightly", days: int = 0, workflow_id: str = "w") -> ScheduleMark:
    return ScheduleMark(workflow_id=workflow_id, trigger_id=trigger, at=START + days * DAY)


def new_run(at: timedelta = HOUR) -> Run:
    return run_of(created_at=START + at, updated_at=START + at)


async def stored(store: TinyDBStore) -> set[str]:
    return {run.id for run in await store.list(RunQuery())}


class TestKeys:
    async def test_the_same_key_gives_the_same_run(self, reopen: Reopen) -> None:
        store = await reopen()
        first = await store.create(new_run(), key=key())
        for again in (False, True):
            store = await reopen() if again else store
            assert await store.create(new_run(), key=key()) == first
        ended = await commit(store, canceled(first))
        assert await store.create(new_run(), key=key()) == ended
        assert await stored(store) == {first.id}

    async def test_another_key_or_scope_gives_another_run(self, reopen: Reopen) -> None:
        store = await reopen()
        keys = [key(), key("order 8"), key(scope="v"), key("7", "w\0order"), key("\ud800")]
        runs = [await store.create(new_run(), key=each) for each in keys]
        assert len({run.id for run in runs}) == len(keys)
        assert [await store.create(new_run(), key=each) for each in keys] == runs

    async def test_any_text_makes_a_file_in_its_folder(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        for text in ("../../pwn", "", "a\0b", "x" * 100_000, "é\n"):
            await store.create(new_run(), key=key(text))
        assert len(os.listdir(tmp_path / "keys")) == 5
        assert not list(tmp_path.parent.glob("pwn*"))

    async def test_concurrent_starts_with_one_key_are_one_run(self, reopen: Reopen) -> None:
        store = await reopen()
        runs = await asyncio.gather(*(store.create(new_run(), key=key()) for _ in range(20)))
        assert len({run.id for run in runs}) == 1
        assert await stored(store) == {runs[0].id}

    async def test_an_expired_key_gives_another_run(self, reopen: Reopen) -> None:
        store = await reopen()
        first = await store.create(new_run(), key=key())
        assert await store.create(new_run(DAY - HOUR), key=key()) == first
        late = IdempotencyKey(scope="w", key="order 7", expires_at=START + 2 * DAY)
        second = await store.create(new_run(DAY), key=late)
        assert second.id != first.id
        assert await store.create(new_run(DAY), key=late) == second

    async def test_a_key_whose_start_a_crash_cut_short_is_given_to_another_run(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        lost = await store.create(new_run(), key=key())

        def crash() -> None:
            (path,) = (tmp_path / "keys").iterdir()
            path.write_bytes(path.read_bytes().replace(b'"stored":true', b'"stored":false'))
            (tmp_path / "active" / f"{lost.id}.jsonl").unlink()

        store = await reopen(crash)
        run = await store.create(new_run(), key=key())
        assert run.id != lost.id
        assert await store.create(new_run(), key=key()) == run
        assert await stored(store) == {run.id}

    async def test_a_start_that_can_not_be_stored_can_be_repeated(self, reopen: Reopen) -> None:
        store = await reopen()
        for function in ("fsync", "pwrite"):  # the key; the run
            with failing(function), pytest.raises(StorageUnavailableError):
                await store.create(new_run(), key=key(function), mark=mark(function))
        assert await stored(store) == set()
        assert await store.schedule_marks("w") == {}
        runs = [await store.create(new_run(), key=key(name)) for name in ("fsync", "pwrite")]
        assert await stored(store) == {run.id for run in runs}

    @pytest.mark.parametrize("content", [b"", b"{", b'{"key": {"1": {"format": 9}}}'])
    async def test_a_damaged_file_is_set_aside(
        self, reopen: Reopen, tmp_path: Path, content: bytes
    ) -> None:
        store = await reopen()
        await store.create(new_run(), key=key())
        (path,) = (tmp_path / "keys").iterdir()
        path.write_bytes(content)
        store = await reopen()
        run = await store.create(new_run(), key=key())
        assert await store.create(new_run(), key=key()) == run
        assert path.with_name(f"{path.name}.unreadable").read_bytes() == content

    async def test_a_file_that_was_copied_names_no_other_key(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        first = await store.create(new_run(), key=key("a"))
        (path,) = (tmp_path / "keys").iterdir()
        second = await store.create(new_run(), key=key("b"))
        (other,) = set((tmp_path / "keys").iterdir()) - {path}
        shutil.copy(path, other)
        store = await reopen()
        third = await store.create(new_run(), key=key("b"))
        assert third.id not in (first.id, second.id)

    async def test_a_key_of_a_deleted_run_starts_no_other_until_it_expires(
        self, reopen: Reopen
    ) -> None:
        store = await reopen()
        first = await commit(store, canceled(await store.create(new_run(), key=key())))
        assert await store.delete([first.id]) == {}
        for again in (False, True):
            store = await reopen() if again else store
            with pytest.raises(RunDeletedError, match=f"Run {first.id}.*another key"):
                await store.create(new_run(), key=key(), mark=mark())
            assert await stored(store) == set()
        second = await store.create(new_run(DAY), key=key())
        assert await stored(store) == {second.id}

    async def test_a_key_that_was_not_noted_is_noted_when_it_is_used_again(
        self, reopen: Reopen, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = await reopen()
        run = await store.create(new_run(), key=key())
        with failing("fsync"):  # the file of the run is open and synced
            await store._keys.close()
        assert "noted" in caplog.text
        assert await store.create(new_run(), key=key()) == run
        await commit(store, canceled(run))
        assert await store.delete([run.id]) == {}
        with pytest.raises(RunDeletedError):
            await store.create(new_run(), key=key())

    async def test_a_key_whose_run_can_not_be_read_starts_no_other(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        run = await commit(store, canceled(await store.create(new_run(), key=key())))
        path = tmp_path / "finished" / f"{run.id}.jsonl"
        content = path.read_bytes()
        path.write_bytes(b"{}\n")
        with pytest.raises(StoredFileError):
            await store.create(new_run(), key=key())
        path.write_bytes(content)
        assert await store.create(new_run(), key=key()) == run

    async def test_a_key_starts_no_other_run_while_the_disk_can_not_be_read(
        self, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await reopen()
        run = await store.create(new_run(), key=key())

        def fail(_: str) -> Run:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(store._runs, "get", fail)
            with pytest.raises(StorageUnavailableError):
                await store.create(new_run(), key=key())
        assert await store.create(new_run(), key=key()) == run
        assert await stored(store) == {run.id}

    async def test_a_key_that_is_used_while_expired_ones_are_removed_stays(
        self, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await reopen()
        await store.create(new_run(), key=key())
        await store._keys.close()
        read, late = store._keys._records.read, replace(key(), expires_at=START + 2 * DAY)
        found, used = threading.Event(), threading.Event()

        def read_slowly(key_id: str) -> KeyRecord:
            record = read(key_id)
            if threading.current_thread() is not threading.main_thread() and not found.is_set():
                found.set()
                used.wait(20)
            return record

        monkeypatch.setattr(store._keys._records, "read", read_slowly)
        removing = asyncio.create_task(store.remove_expired(START + DAY))
        await asyncio.to_thread(found.wait, 20)
        run = await store.create(new_run(DAY), key=late)
        used.set()
        await removing
        assert await store.create(new_run(DAY), key=late) == run

    async def test_only_expired_keys_are_removed(self, reopen: Reopen, tmp_path: Path) -> None:
        store = await reopen()
        await store.create(new_run(), key=key("a"))
        run = await store.create(new_run(), key=replace(key("b"), expires_at=START + 2 * DAY))
        (tmp_path / "keys" / "damaged.json").write_bytes(b"{")
        await store._keys.close()
        await store.remove_expired(START + DAY)
        assert len(os.listdir(tmp_path / "keys")) == 2
        assert await store.create(new_run(), key=key("b")) == run
        await store.remove_expired(START + 3 * DAY)
        assert os.listdir(tmp_path / "keys") == ["damaged.json"]


class TestMarks:
    async def test_marks_of_each_schedule(self, reopen: Reopen) -> None:
        store = await reopen()
        assert await store.schedule_marks("w") == {}
        for trigger, days in (("nightly", 0), ("weekly", 0), ("nightly", 1)):
            name = key(f"{trigger} {days}")
            await store.create(new_run(), key=name, mark=mark(trigger, days))
        await store.create(new_run(), key=key("other"), mark=mark(workflow_id="v"))
        for again in (False, True):
            store = await reopen() if again else store
            assert await store.schedule_marks("w") == {"nightly": START + DAY, "weekly": START}
            assert await store.schedule_marks("v") == {"nightly": START}

    async def test_a_mark_that_can_not_be_written_does_not_fail_the_start(
        self, reopen: Reopen, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = await reopen()
        await store.create(new_run(), key=key("a"), mark=mark("weekly"))
        with failing("replace", "schedules/w.json.tmp"):
            run = await store.create(new_run(), key=key("b"), mark=mark(days=1))
        assert "schedule" in caplog.text
        assert await store.get(run.id) == run
        assert store.available
        assert await store.create(new_run(), key=key("b"), mark=mark("other")) == run
        expected = {"weekly": START, "nightly": START + DAY, "other": START}
        assert await store.schedule_marks("w") == expected
        store = await reopen()
        assert await store.schedule_marks("w") == expected

    async def test_an_unwritten_mark_is_known_until_a_crash(self, reopen: Reopen) -> None:
        store = await reopen()
        with failing("replace", "schedules/w.json.tmp"):
            run = await store.create(new_run(), key=key(), mark=mark())
        assert await store.schedule_marks("w") == {"nightly": START}
        store = await reopen()
        assert await store.schedule_marks("w") == {}
        assert await store.create(new_run(), key=key(), mark=mark()) == run
        assert await store.schedule_marks("w") == {"nightly": START}

    async def test_marks_of_one_moment_are_all_stored(self, reopen: Reopen) -> None:
        store = await reopen()
        names = [f"t{number}" for number in range(20)]
        runs = [store.create(new_run(), key=key(name), mark=mark(name)) for name in names]
        await asyncio.gather(*runs)
        for again in (False, True):
            store = await reopen() if again else store
            assert await store.schedule_marks("w") == dict.fromkeys(names, START)

    async def test_a_mark_that_a_crash_lost_is_made_by_the_same_start(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        run = await store.create(new_run(), key=key(), mark=mark())
        (tmp_path / "schedules" / "w.json").unlink()
        store = await reopen()
        assert await store.schedule_marks("w") == {}
        assert await store.create(new_run(), key=key(), mark=mark()) == run
        assert await store.schedule_marks("w") == {"nightly": START}
        assert await stored(store) == {run.id}

    async def test_a_damaged_file_is_set_aside(self, reopen: Reopen, tmp_path: Path) -> None:
        store = await reopen()
        await store.create(new_run(), key=key("a"), mark=mark())
        path = tmp_path / "schedules" / "w.json"
        path.write_bytes(b'{"schedule": {"1": {"format": 2, "id": "w", "marks": {"nightly": 7}}}}')
        store = await reopen()
        assert await store.schedule_marks("w") == {}
        assert path.with_name("w.json.unreadable").exists()
        await store.create(new_run(), key=key("b"), mark=mark("weekly"))
        assert await store.schedule_marks("w") == {"weekly": START}
