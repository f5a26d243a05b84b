"""The examination of a data directory, and its repair."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from jupyter_pdflow.exceptions import DataDirLockedError
from jupyter_pdflow.maintenance.doctor import Report, examine, repair
from jupyter_pdflow.maintenance.transfer import export_runs, import_runs
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage
from jupyter_pdflow.server.links.tokens import LINK_KEYS
from jupyter_pdflow.stores.files import replace_file
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED, OUTPUTS, WORKFLOWS, DataLock
from tests.maintenance.sample_data import (
    HISTORY,
    SOURCE,
    SampleData,
    add_email,
    make_format_1,
    make_sample_data,
)


def problems(report: Report) -> list[str]:
    return [finding.problem for finding in report.findings if finding.grave]


def notes(report: Report) -> list[str]:
    return [finding.problem for finding in report.findings if not finding.grave]


def swap(sample: SampleData, old: str, new: str) -> None:
    path = sample.data.file(ACTIVE, sample.paused.id)
    path.write_text(path.read_text().replace(old, new))


def test_nothing_is_wrong_and_nothing_is_changed(sample: SampleData) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample.path.rglob("*")}
    report = examine(sample.data)
    assert report.findings == []
    assert report.holder is None
    assert report.counts == {
        "queued": 0, "running": 0, "paused": 1, "finished": 1, "workflows": 1, "emails": 2,
    }  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in sample.path.rglob("*")} == before


def test_modes(sample: SampleData) -> None:
    (sample.path / "inputs.toml").write_text("")
    for name, mode in ((".", 0o755), (LINK_KEYS, 0o640), ("inputs.toml", 0o604)):
        (sample.path / name).chmod(mode)
    found = problems(examine(sample.data))
    assert [problem.partition("(")[2] for problem in found] == [
        "mode 755).",
        "mode 640).",
        "mode 604).",
    ]
    assert f"Made {sample.path / LINK_KEYS} yours alone." in repair(sample.data)
    assert examine(sample.data).findings == []
    assert stat.S_IMODE(sample.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((sample.path / LINK_KEYS).stat().st_mode) == 0o600


def test_what_a_crash_left_is_removed(sample: SampleData) -> None:
    before = sample.files()
    for name in ("active/x.json.tmp", "mail/x.eml.tmp", "link_keys.tmp"):
        (sample.path / name).touch()
    assert len(problems(examine(sample.data))) == 3
    assert "Removed active/x.json.tmp." in repair(sample.data)
    assert sample.files() == before
    assert examine(sample.data).findings == []


def test_half_a_last_line_is_no_damage(sample: SampleData) -> None:
    append(sample, b'{"run":{"1":{"format":2,"id":')
    assert examine(sample.data).findings == []
    assert sample.history(sample.ended) == HISTORY


def test_half_a_first_line_is_removed(sample: SampleData) -> None:
    before = sample.files()
    sample.data.file(ACTIVE, "new").write_bytes(b'{"run":{"1":{"form')
    with DataLock(sample.path).held("another command"):
        assert examine(sample.data).findings == []  # it may be about to be written
    assert problems(examine(sample.data)) == ["active/new.jsonl was left half-written by a crash."]
    assert repair(sample.data) == ["Removed active/new.jsonl."]
    assert sample.files() == before
    assert examine(sample.data).findings == []


@pytest.mark.parametrize("half", [True, False])
def test_of_two_files_of_a_run_one_is_removed(half: bool, sample: SampleData) -> None:
    """A crash stops the first write of a run of format 1 within the line, or just after it."""
    content = sample.data.file(ACTIVE, sample.paused.id).read_bytes()
    older = make_format_1(sample.data, replace(sample.paused, event="older"))
    newer = older.with_suffix(".jsonl")
    newer.write_bytes(content[:90] if half else content)
    unused, used = sorted([newer, older], key=lambda path: (path == newer) != half)
    assert problems(examine(sample.data)) == [
        f"active/{unused.name} is not used: its run is in active/{used.name}."
    ]
    assert (sample.data.read_run(sample.paused.id) == sample.paused) != half
    assert repair(sample.data) == [f"Removed active/{unused.name}."]
    assert examine(sample.data).findings == []
    assert used.exists()


def test_an_older_file_does_not_replace_one_that_was_set_aside(sample: SampleData) -> None:
    content = sample.data.file(ACTIVE, sample.paused.id).read_bytes()
    older = make_format_1(sample.data, sample.paused)
    older.with_suffix(".jsonl").write_bytes(content + b"{\n")
    (problem,) = problems(examine(sample.data))
    assert problem == f"active/{older.stem}.jsonl: {older.stem}.jsonl is not JSON (Input data was truncated)."  # fmt: skip
    assert len(repair(sample.data)) == 1
    assert repair(sample.data) == []
    assert len(problems(examine(sample.data))) == 2
    assert sample.data.run_ids() == [sample.ended.id]


def copy_to(room: str) -> Callable[[SampleData], object]:
    return lambda f: shutil.copy(
        next(f.path.glob(f"{'active' if room == 'finished' else 'finished'}/*")), f.path / room
    )


def both_differ(sample: SampleData) -> None:
    sample.data.write(FINISHED, sample.paused.id, replace(sample.paused, event="another"))


def ended_in_active(sample: SampleData) -> None:
    sample.data.file(FINISHED, sample.ended.id).rename(sample.data.file(ACTIVE, sample.ended.id))


def late(sample: SampleData) -> None:
    assert sample.paused.pause is not None
    yesterday = datetime.now(UTC) - timedelta(days=1)
    pause = replace(sample.paused.pause, deadline=yesterday)
    sample.data.write(ACTIVE, sample.paused.id, replace(sample.paused, pause=pause))


REPAIRED: dict[str, tuple[Callable[[SampleData], object], str]] = {
    "a finished run also among the active": (copy_to("active"), "lies in active and in finished"),
    "a paused run also among the finished": (copy_to("finished"), "lies in active and in finished"),
    "an ended run among the active": (ended_in_active, "has ended, but lies among the active"),
}
REPORTED: dict[str, tuple[Callable[[SampleData], object], str]] = {
    "both differ": (both_differ, "lies in active and in finished"),
    "not ended, among the finished": (
        lambda f: f.data.file(ACTIVE, f.paused.id).rename(f.data.file(FINISHED, f.paused.id)),
        "is paused, but lies among the finished ones",
    ),
    "newer": (lambda f: swap(f, '"format":2', '"format":9'), "by a newer jupyter_pdflow"),
    "set aside": (lambda f: (f.path / "active/x.json.unreadable-2").touch(), "was set aside"),
    "late": (late, "Overdue pauses"),
    "no version": (lambda f: swap(f, f.paused.version, "gone"), "version 'gone' of workflow 'flow'"),
    "no workflow": (lambda f: f.data.file(WORKFLOWS, "flow").unlink(), "is missing"),
    "no keys": (lambda f: (f.path / LINK_KEYS).unlink(), "The file of link keys is missing"),
    "empty keys": (lambda f: (f.path / LINK_KEYS).write_text("\n"), "link_keys can't be used"),
    "foreign keys": (lambda f: (f.path / LINK_KEYS).write_bytes(b"\xff"), "link_keys can't be used"),
    "deep inputs": (
        lambda f: (f.path / "inputs.toml").write_text("a=" + "[" * 9999), "inputs.toml can't be read"),
    "bad inputs": (lambda f: (f.path / "inputs.toml").write_text("a ="), "inputs.toml can't be read"),
}  # fmt: skip


def remove_time_zones(sample: SampleData) -> None:
    path = sample.data.file(ACTIVE, sample.paused.id)
    path.write_text(re.sub(r'(\.\d+)Z"', r'\1"', path.read_text()))


UNUSABLE: dict[str, tuple[Callable[[SampleData], object], str]] = {
    "damaged": (lambda f: append(f, b"{\n"), ".jsonl is not JSON"),
    "damaged, of format 1": (
        lambda f: make_format_1(f.data, f.ended).write_bytes(b"{"), ".json is not JSON"),
    "a finished run that was cut off": (
        lambda f: os.truncate(f.data.file(FINISHED, f.ended.id), 300), "has no whole line"),
    "an empty finished run": (
        lambda f: os.truncate(f.data.file(FINISHED, f.ended.id), 0), "has no whole line"),
    "half of another file": (
        lambda f: f.data.file(ACTIVE, "x").write_text("{"*9), "x.jsonl has no whole line"),
    "foreign": (lambda f: f.data.file(ACTIVE, "x").write_text("{}\n"), "x.jsonl holds no run"),
    "impossible": (lambda f: swap(f, '"position":0', '"position":3'), "at a step that it does not have"),
    "vague": (remove_time_zones, "has no time zone"),
    "no time that ever is": (
        lambda f: swap(f, '"updated_at":"2', '"updated_at":"9'), "not from 1970 to 2999"),
    "a workflow without its newest version": (
        lambda f: f.data.file(WORKFLOWS, "flow").write_text(
            f.data.file(WORKFLOWS, "flow").read_text().replace('"newest":"', '"newest":"x')
        ),
        "its newest version is missing",
    ),
    "a mail with another's id": (
        lambda f: (f.path / f"mail/done/{f.ended.id}-1-0-0.json").rename(
            f.path / f"mail/done/{f.ended.id}-1-0-1.json"
        ),
        "is a copy of another record",
    ),
    "a name of no record": (lambda f: f.data.file(ACTIVE, f.paused.id).rename(
        f.path / "active" / "copy of a run.json"), "copy of a run.json is not the name of a record"),
    "a name that is not UTF-8": (
        lambda f: f.data.file(ACTIVE, f.paused.id).rename(f.path / "active" / "\udcff\n.json"),
        "active/\\udcff\\n.json is not the name"),
    "a long name": (lambda f: f.data.file(ACTIVE, f.paused.id).rename(
        f.path / "active" / f"{'x' * 245}.json"), "is not the name of a record"),
    "a pipe": (lambda f: replaced_by_pipe(f.data.file(FINISHED, f.ended.id)), "is not a file"),
    "a file for a folder": (lambda f: file_for(f.path / "outputs"), "outputs is not a folder"),
    "keys of imported runs": (
        lambda f: replace_file(f.path / "imported_keys.json", b'{"k": 1}'), "imported_keys.json"),
}  # fmt: skip


def append(sample: SampleData, content: bytes) -> None:
    with sample.data.file(FINISHED, sample.ended.id).open("ab") as file:
        file.write(content)


def replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def file_for(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_is_set_aside(what: str, sample: SampleData) -> None:
    do, words = UNUSABLE[what]
    do(sample)
    (bad,) = [problem for problem in problems(examine(sample.data)) if words in problem]
    assert bad.isprintable()
    before = sample.files()
    assert any(done.startswith("Set ") for done in repair(sample.data))
    assert any(".unreadable was set aside" in problem for problem in problems(examine(sample.data)))
    assert not [problem for problem in problems(examine(sample.data)) if problem == bad]
    assert len(sample.files()) == len(before)


def test_what_was_set_aside_and_is_right_is_put_back(sample: SampleData) -> None:
    before = sample.files()
    for path in (sample.data.file(ACTIVE, sample.paused.id), sample.data.file(WORKFLOWS, "flow")):
        path.rename(path.with_name(f"{path.name}.unreadable-3"))
    found = [
        problem for problem in problems(examine(sample.data)) if "but it can be used" in problem
    ]
    assert len(found) == 2
    repair(sample.data)
    assert examine(sample.data).findings == []
    assert sample.files() == before


def test_what_was_set_aside_is_not_put_back_where_there_is_another(sample: SampleData) -> None:
    path = sample.data.file(FINISHED, sample.ended.id)
    shutil.copy(path, sample.path / "active" / f"{path.name}.unreadable")
    (found,) = problems(examine(sample.data))
    assert "was set aside, as it could not be used." in found
    assert repair(sample.data) == []


@pytest.mark.parametrize("what", REPAIRED)
def test_what_is_repaired(what: str, sample: SampleData) -> None:
    before = sample.files()
    do, words = REPAIRED[what]
    do(sample)
    assert [words in problem for problem in problems(examine(sample.data))] == [True]
    assert len(repair(sample.data)) == 1
    assert examine(sample.data).findings == []
    assert sample.files() == before


def test_an_ended_run_with_emails_to_hand_over_stays_active(sample: SampleData) -> None:
    email = OutboxMessage(
        id=f"{sample.ended.id}-1-0-9",
        run_id=sample.ended.id,
        step="a",
        email=EmailRequest(subject="s"),
        created_at=sample.ended.created_at,
    )
    sample.data.write(ACTIVE, sample.ended.id, replace(sample.ended, outbox=[email]))
    sample.data.file(FINISHED, sample.ended.id).unlink()
    (problem,) = problems(examine(sample.data))
    assert "has ended, but lies among the active" in problem
    assert repair(sample.data) == []


@pytest.mark.parametrize("what", REPORTED)
def test_what_is_only_reported(what: str, sample: SampleData) -> None:
    do, words = REPORTED[what]
    do(sample)
    (sample.path / "inputs.toml").touch()
    (sample.path / "inputs.toml").chmod(0o600)
    files = {name: (sample.path / name).read_bytes() for name in sample.files()}
    report = examine(sample.data)
    assert any(words in problem for problem in problems(report)), report
    assert repair(sample.data) == []
    assert problems(examine(sample.data)) == problems(report)
    assert {name: (sample.path / name).read_bytes() for name in sample.files()} == files


@pytest.mark.parametrize("content", ["", "null", '{"origin": "http://[::1", "by_browser": true}'])
def test_an_address_that_is_none_is_noted(content: str, sample: SampleData) -> None:
    (sample.path / "address.json").write_text(content)
    report = examine(sample.data)
    assert problems(report) == []
    assert notes(report) == [f"{sample.path}/address.json holds no address that links can start with."]  # fmt: skip
    (sample.path / "address.json").write_text('{"origin": "http://[::1]", "by_browser": true}')
    assert notes(examine(sample.data)) == []


def test_outputs_whose_run_is_gone_are_removed(sample: SampleData) -> None:
    sample.data.file(FINISHED, sample.ended.id).unlink()
    report = examine(sample.data)
    assert problems(report) == [f"There are outputs of run {sample.ended.id}, which is gone."]
    assert notes(report) == [
        f"There are emails of runs that no longer exist: {sample.ended.id}.",
        f"There are files of runs that are gone, or of another server: {sample.ended.id}.",
    ]
    repair(sample.data)
    assert os.listdir(sample.path / "outputs") == [f"{sample.paused.id}.json"]
    assert problems(examine(sample.data)) == []
    assert (sample.path / "mail" / f"{sample.ended.id}-1-0-0.eml").exists()


def test_outputs_of_a_run_that_was_set_aside_stay(sample: SampleData, tmp_path: Path) -> None:
    file = sample.data.file(FINISHED, sample.ended.id)
    file.rename(file.with_name(f"{file.name}.unreadable")).write_bytes(b"{")
    export_runs(sample.data, tmp_path / "a.zip", [sample.paused.id])
    report = examine(sample.data)
    assert len(problems(report)) == 1
    assert notes(report) == [f"Moved out by an export: {sample.paused.id}."]
    assert repair(sample.data) == []
    assert sample.data.has(OUTPUTS, sample.ended.id)
    import_runs(sample.data, tmp_path / "a.zip")
    assert notes(examine(sample.data)) == []


def test_what_a_server_will_need(sample: SampleData, tmp_path: Path) -> None:
    assert "MB left" in problems(examine(sample.data, needed_bytes=10**18))[0]
    add_email(sample.data, sample.ended, number=1, error="451 busy")
    assert notes(examine(sample.data)) == ["Emails still to be delivered: 1; the latest error: 451 busy"]  # fmt: skip
    other = make_sample_data(tmp_path / "other", replace(SOURCE, kernel_name="fortran"))
    (problem,) = problems(examine(other.data))
    assert "needs the kernelspec 'fortran'" in problem


def test_no_repair_while_the_directory_is_held(sample: SampleData) -> None:
    (sample.path / "active" / "x.json.tmp").touch()
    with DataLock(sample.path).held("another command"):
        report = examine(sample.data)
        assert report.holder is not None
        assert report.holder.startswith("`another command` (process ")
        assert report.findings == []
        with pytest.raises(DataDirLockedError, match="stop that first"):
            repair(sample.data)
    assert (sample.path / "active" / "x.json.tmp").exists()
