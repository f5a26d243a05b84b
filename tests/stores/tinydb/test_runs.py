"""The files of runs survive a crash at any moment, and damaged ones are set aside."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from jupyter_pdflow.exceptions import NotFoundError, RunActiveError, StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.tinydb.runs import Runs
from tests.rules.support import START, RunDriver, suspend
from tests.stores.tinydb.conftest import OpenRuns
from tests.stores.tinydb.support import canceled, failing, run_of

NO_IDS = ["nope", "../active/x", "x" * 300, "a/b", "\0", "..", "é" * 101, "\ud800", ""]


async def make(runs: Runs, *, ended: bool = False) -> Run:
    run = run_of()
    await runs.write(None, run)
    return await end(runs, run) if ended else run


async def end(runs: Runs, run: Run) -> Run:
    ended = canceled(run)
    await runs.write(run, ended, archive=True)
    return ended


def active(runs: OpenRuns) -> list[str]:
    return [run.id for run in runs()[1]]


class TestRuns:
    async def test_a_run_is_read_back_as_it_was(self, open_runs: OpenRuns) -> None:
        driver = RunDriver("a", "b", event={"deep": [{"x": "…"}]})
        driver.step(**suspend(), exports={"$return_value": {"n": 1}})
        runs, _ = open_runs()
        await runs.write(None, driver.run)
        assert runs.get("r") == driver.run
        runs, found = open_runs()
        assert found == [driver.run] == [runs.get("r")]

    async def test_a_run_that_a_crash_left_in_both_folders_has_ended(
        self, open_runs: OpenRuns, tmp_path: Path
    ) -> None:
        runs, _ = open_runs()
        run = await make(runs)
        path = tmp_path / "active" / f"{run.id}.jsonl"
        before = path.read_bytes()
        await end(runs, run)
        path.write_bytes(before)
        runs, found = open_runs()
        assert found == []
        assert runs.get(run.id).status == "canceled"
        assert not path.exists()

    async def test_ended_runs_move_and_are_not_read_at_a_start(
        self, open_runs: OpenRuns, tmp_path: Path
    ) -> None:
        runs, _ = open_runs()
        ended, waiting = await make(runs, ended=True), await make(runs)
        assert os.listdir(tmp_path / "finished") == [f"{ended.id}.jsonl"]
        assert os.listdir(tmp_path / "active") == [f"{waiting.id}.jsonl"]
        runs, found = open_runs()
        assert found == [waiting]
        assert runs.get(ended.id) == ended

    async def test_a_run_whose_move_was_lost_is_only_moved_at_the_next_start(
        self, open_runs: OpenRuns, tmp_path: Path
    ) -> None:
        run = await make(open_runs()[0], ended=True)
        before, after = (tmp_path / name / f"{run.id}.jsonl" for name in ("active", "finished"))
        content = after.rename(before).read_bytes()
        runs, found = open_runs()
        assert found == [run]
        await runs.write(run, run, archive=True)
        assert runs.get(run.id) == run
        assert after.read_bytes() == content
        assert not before.exists()
        assert active(open_runs) == []

    async def test_only_a_run_that_has_ended_may_be_deleted(self, open_runs: OpenRuns) -> None:
        runs, _ = open_runs()
        waiting, ended = await make(runs), await make(runs, ended=True)
        runs.check_ended(ended.id)
        with pytest.raises(RunActiveError, match="is queued; cancel it first"):
            runs.check_ended(waiting.id)
        await runs.write(waiting, canceled(waiting))  # ended, and not archived yet
        runs.check_ended(waiting.id)
        with pytest.raises(NotFoundError):
            runs.check_ended("nope")

    @pytest.mark.parametrize("run_id", NO_IDS)
    async def test_an_unknown_run(self, open_runs: OpenRuns, run_id: str) -> None:
        runs, _ = open_runs()
        with pytest.raises(NotFoundError, match="There is no run"):
            runs.get(run_id)
        with pytest.raises(NotFoundError, match="There is no run"):
            await runs.history(run_id)

    async def test_a_deleted_file_is_an_unknown_run(
        self, open_runs: OpenRuns, tmp_path: Path
    ) -> None:
        runs, _ = open_runs()
        run = await make(runs)
        (tmp_path / "active" / f"{run.id}.jsonl").unlink()
        with pytest.raises(NotFoundError):
            runs.get(run.id)

    @pytest.mark.parametrize("fault", ["pwrite", "fdatasync", "replace"])
    async def test_a_run_that_can_not_be_written_is_as_it_was_before(
        self, open_runs: OpenRuns, tmp_path: Path, fault: str
    ) -> None:
        runs, _ = open_runs()
        run, new = await make(runs), run_of()
        changed = replace(run, attempt=2)
        writes = [] if fault == "replace" else [(run, changed, False), (None, new, False)]
        with failing(fault):
            for before, after, archive in (*writes, (run, canceled(run), True)):
                with pytest.raises(OSError, match="No space"):
                    await runs.write(before, after, archive=archive)
        assert runs.get(run.id) == run
        assert open_runs()[1] == [run]
        assert os.listdir(tmp_path / "active") == [f"{run.id}.jsonl"]
        assert os.listdir(tmp_path / "finished") == []
        ended = await end(runs, run)
        assert open_runs()[0].get(run.id) == ended


class TestDamage:
    """What a crash cut off goes, and what can't be used is set aside; other runs are read."""

    async def test_a_file_whose_first_line_was_cut_off_by_a_crash_goes_once(
        self, open_runs: OpenRuns, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs, _ = open_runs()
        run, other = await make(runs), await make(runs)
        folder = tmp_path / "active"
        content = (folder / f"{run.id}.jsonl").read_bytes()
        lengths = (0, 1, 20, 100, len(content) - 1)
        for length in lengths:
            (folder / f"cut-{length}.jsonl").write_bytes(content[:length])
        with (folder / f"{other.id}.jsonl").open("ab") as file:
            file.write(content[:100])
        for _ in range(2):
            assert open_runs()[1] == [run, other]
            assert sorted(os.listdir(folder)) == [f"{run.id}.jsonl", f"{other.id}.jsonl"]
        for length in lengths:
            text = f"cut-{length}.jsonl has no whole line. It was never answered for"
            assert caplog.text.count(text) == 1

    async def test_unreadable_files_are_quarantined_and_the_others_are_read(
        self, open_runs: OpenRuns, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = await make(open_runs()[0])
        folder = tmp_path / "active"
        content = (folder / f"{run.id}.jsonl").read_bytes()
        (folder / "damaged.jsonl").write_bytes(content + b'{"run"\n')
        (folder / "other.jsonl").write_bytes(b"notes without a newline")
        (folder / "old.json").write_bytes(b'{"run"')
        (folder / "empty.json").touch()
        (folder / "copy.jsonl").write_bytes(content)
        (folder / "newer.jsonl").write_bytes(b'{"run": {"1": {"format": 9}}}\n')
        (folder / "half.jsonl.tmp").write_bytes(b"{")
        (folder / "notes.txt").touch()
        assert active(open_runs) == [run.id]
        assert sorted(os.listdir(folder)) == sorted(
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
        assert (folder / "damaged.jsonl.unreadable").read_bytes() == content + b'{"run"\n'
        assert "damaged.jsonl is not JSON" in caplog.text

    async def test_a_file_with_a_flaw_is_quarantined(
        self, open_runs: OpenRuns, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs, _ = open_runs()
        run, bad = await make(runs), await make(runs)
        path = tmp_path / "active" / f"{bad.id}.jsonl"
        path.write_bytes(path.read_bytes().replace(b'"position":0', b'"position":1'))
        assert active(open_runs) == [run.id]
        assert f"{path.name} can't be used: it is at a step that it does not have." in caplog.text
        assert path.with_name(f"{path.name}.unreadable").exists()

    async def test_a_finished_run_with_a_flaw_is_unreadable(
        self, open_runs: OpenRuns, tmp_path: Path
    ) -> None:
        bad = await make(open_runs()[0], ended=True)
        path = tmp_path / "finished" / f"{bad.id}.jsonl"
        path.write_bytes(path.read_bytes().replace(b'Z",', b'",'))
        with pytest.raises(StoredFileError, match="has no time zone"):
            open_runs()[0].get(bad.id)

    async def test_files_with_invalid_names_are_quarantined(
        self, open_runs: OpenRuns, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = await make(open_runs()[0])
        names = ["a b.jsonl", ".jsonl", "\udcff.jsonl", "x\ny.json", f"{'x' * 249}.jsonl"]
        for name in names:
            (tmp_path / "active" / name).write_bytes(b"{")
        assert active(open_runs) == [run.id]
        left = set(os.listdir(tmp_path / "active")) - {f"{run.id}.jsonl"}
        assert len(left) == len(names)
        assert all(".unreadable" in name for name in left)
        assert "'x\\ny.json' is not a name of a record" in caplog.text

    async def test_a_file_that_can_not_be_quarantined_stays(
        self, open_runs: OpenRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = await make(open_runs()[0])
        (tmp_path / "active" / "x.json").write_bytes(b"{")

        def refuse(path: Path, target: Path) -> Path:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "rename", refuse)
        assert active(open_runs) == [run.id]
        assert (tmp_path / "active" / "x.json").exists()

    async def test_quarantine_overwrites_nothing(self, open_runs: OpenRuns, tmp_path: Path) -> None:
        folder = tmp_path / "active"
        for content in (b"one", b"two"):
            folder.mkdir(exist_ok=True)
            (folder / "x.json").write_bytes(content)
            open_runs()
        assert (folder / "x.json.unreadable").read_bytes() == b"one"
        assert (folder / "x.json.unreadable-2").read_bytes() == b"two"


class TestHistory:
    def entry(self, number: int) -> HistoryEntry:
        return HistoryEntry(
            at=START, event="resume", step="a", execution=number, attempt=1, by="Ann", note="é" * 9
        )

    def entries(self, *numbers: int) -> list[HistoryEntry]:
        return [self.entry(number) for number in numbers]

    async def put(self, runs: Runs, run: Run, *numbers: int) -> Run:
        """Append a new state of a run with entries."""
        after = replace(run, attempt=run.attempt + 1)
        await runs.write(run, after, self.entries(*numbers))
        return after

    async def test_entries_are_numbered_in_order_over_a_reopening(
        self, open_runs: OpenRuns
    ) -> None:
        runs, _ = open_runs()
        run = await make(runs)
        assert await runs.history(run.id) == {}
        run = await self.put(runs, run, 1)
        run = await self.put(runs, run, 2, 3)
        run = await self.put(runs, run)
        assert await runs.history(run.id) == {n: self.entry(n) for n in (1, 2, 3)}
        runs, (run,) = open_runs()
        run = await self.put(runs, run, 4)
        ended = canceled(run)
        await runs.write(run, ended, self.entries(5, 6), archive=True)
        for each in (runs, open_runs()[0]):
            found = await each.history(run.id)
            assert list(found.items()) == [(n, self.entry(n)) for n in range(1, 7)]
            assert each.get(run.id) == ended

    async def test_entries_stay_when_a_large_file_is_replaced(
        self, open_runs: OpenRuns, tmp_path: Path
    ) -> None:
        runs, replaced = open_runs()[0], 0
        run = replace(run_of(), event="x" * 20_000)
        await runs.write(None, run)
        path = tmp_path / "active" / f"{run.id}.jsonl"
        inode = path.stat().st_ino
        for number in range(1, 31):
            run = await self.put(runs, run, number)
            replaced += inode != path.stat().st_ino
            inode = path.stat().st_ino
        assert replaced > 2
        assert path.stat().st_size < 10 * 20_000
        for each in (runs, open_runs()[0]):
            assert await each.history(run.id) == {n: self.entry(n) for n in range(1, 31)}
        await runs.write(run, canceled(run), self.entries(31), archive=True)
        assert list(await open_runs()[0].history(run.id)) == list(range(1, 32))

    async def test_an_entry_that_can_not_be_stored_leaves_no_gap(self, open_runs: OpenRuns) -> None:
        runs, _ = open_runs()
        run = await self.put(runs, await make(runs), 1)
        with failing("fdatasync"), pytest.raises(OSError, match="No space"):
            await self.put(runs, run, 9)
        await self.put(runs, run, 2)
        assert await runs.history(run.id) == {n: self.entry(n) for n in (1, 2)}

    async def test_a_run_that_moves_while_its_history_is_read(self, open_runs: OpenRuns) -> None:
        runs, _ = open_runs()
        for _ in range(20):
            run = await self.put(runs, await make(runs), 1)
            write = runs.write(run, canceled(run), self.entries(2), archive=True)
            writing = asyncio.create_task(write)
            found = await asyncio.gather(*(runs.history(run.id) for _ in range(5)))
            await writing
            assert all(each[1] == self.entry(1) for each in found)
