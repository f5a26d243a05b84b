"""The examination of a data directory, and its repair."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from jupyter_pdflow.exceptions import DataDirLockedError
from jupyter_pdflow.maintenance import environment_checks
from jupyter_pdflow.maintenance.datadir import ACTIVE, FINISHED, KEYS, OUTPUTS, WORKFLOWS, DataDir
from jupyter_pdflow.maintenance.doctor import Report, examine, repair
from jupyter_pdflow.maintenance.exporting import export_runs
from jupyter_pdflow.maintenance.importing import import_runs
from jupyter_pdflow.stores.tinydb.storage import replace_file
from tests.maintenance.support import SOURCE, Filled, add_mail, fill


def problems(report: Report) -> list[str]:
    return [finding.problem for finding in report.findings if finding.grave]


def notes(report: Report) -> list[str]:
    return [finding.problem for finding in report.findings if not finding.grave]


def swap(filled: Filled, old: str, new: str) -> None:
    path = filled.data.file(ACTIVE, filled.paused.id)
    path.write_text(path.read_text().replace(old, new))


def test_nothing_is_wrong_and_nothing_is_changed(filled: Filled) -> None:
    before = {path: path.stat().st_mtime_ns for path in filled.path.rglob("*")}
    report = examine(filled.data)
    assert report.findings == []
    assert report.holder is None
    assert report.counts == {
        "queued": 0, "running": 0, "paused": 1, "finished": 1, "workflows": 1, "mails": 2,
    }  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in filled.path.rglob("*")} == before


def test_modes(filled: Filled) -> None:
    (filled.path / "inputs.toml").write_text("")
    for name, mode in ((".", 0o755), (KEYS, 0o640), ("inputs.toml", 0o604)):
        (filled.path / name).chmod(mode)
    found = problems(examine(filled.data))
    assert [problem.partition("(")[2] for problem in found] == [
        "mode 755).",
        "mode 640).",
        "mode 604).",
    ]
    assert f"Made {filled.path / KEYS} yours alone." in repair(filled.data)
    assert examine(filled.data).findings == []
    assert stat.S_IMODE(filled.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((filled.path / KEYS).stat().st_mode) == 0o600


def test_what_a_crash_left_is_removed(filled: Filled) -> None:
    before = filled.files()
    for name in ("active/x.json.tmp", "mail/x.eml.tmp", "link_keys.tmp"):
        (filled.path / name).touch()
    assert len(problems(examine(filled.data))) == 3
    assert "Removed active/x.json.tmp." in repair(filled.data)
    assert filled.files() == before
    assert examine(filled.data).findings == []


def copy_to(room: str) -> Callable[[Filled], object]:
    return lambda f: shutil.copy(
        next(f.path.glob(f"{'active' if room == 'finished' else 'finished'}/*")), f.path / room
    )


def both_differ(filled: Filled) -> None:
    filled.data.write(FINISHED, filled.paused.id, replace(filled.paused, event="another"))


def ended_in_active(filled: Filled) -> None:
    filled.data.file(FINISHED, filled.ended.id).rename(filled.data.file(ACTIVE, filled.ended.id))


def late(filled: Filled) -> None:
    assert filled.paused.pause is not None
    yesterday = datetime.now(UTC) - timedelta(days=1)
    pause = replace(filled.paused.pause, deadline=yesterday)
    filled.data.write(ACTIVE, filled.paused.id, replace(filled.paused, pause=pause))


MENDED: dict[str, tuple[Callable[[Filled], object], str]] = {
    "a finished run also among the active": (copy_to("active"), "lies in active and in finished"),
    "a paused run also among the finished": (copy_to("finished"), "lies in active and in finished"),
    "an ended run among the active": (ended_in_active, "has ended, but lies among the active"),
}
TOLD: dict[str, tuple[Callable[[Filled], object], str]] = {
    "both differ": (both_differ, "lies in active and in finished"),
    "not ended, among the finished": (
        lambda f: f.data.file(ACTIVE, f.paused.id).rename(f.data.file(FINISHED, f.paused.id)),
        "is paused, but lies among the finished ones",
    ),
    "newer": (lambda f: swap(f, '"format":1', '"format":9'), "by a newer jupyter_pdflow"),
    "set aside": (lambda f: (f.path / "active/x.json.unreadable-2").touch(), "was set aside"),
    "late": (late, "Paused for longer than they should be"),
    "no version": (lambda f: swap(f, f.paused.version, "gone"), "version gone of workflow 'flow'"),
    "no workflow": (lambda f: f.data.file(WORKFLOWS, "flow").unlink(), "is missing"),
    "no keys": (lambda f: (f.path / KEYS).unlink(), "The file of link keys is missing"),
    "empty keys": (lambda f: (f.path / KEYS).write_text("\n"), "link_keys can't be used"),
    "foreign keys": (lambda f: (f.path / KEYS).write_bytes(b"\xff"), "link_keys can't be used"),
    "deep inputs": (
        lambda f: (f.path / "inputs.toml").write_text("a=" + "[" * 9999), "inputs.toml can't be read"),
    "bad inputs": (lambda f: (f.path / "inputs.toml").write_text("a ="), "inputs.toml can't be read"),
}  # fmt: skip


UNUSABLE: dict[str, tuple[Callable[[Filled], object], str]] = {
    "damaged": (lambda f: f.data.file(FINISHED, f.ended.id).write_bytes(b"{"), "is not JSON"),
    "foreign": (lambda f: f.data.file(ACTIVE, "x").write_text("{}"), "x.json holds no run"),
    "impossible": (lambda f: swap(f, '"position":0', '"position":3'), "at a step that it does not have"),
    "vague": (lambda f: swap(f, "Z\"", "\""), "has no time zone"),
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


def replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def file_for(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_is_set_aside(what: str, filled: Filled) -> None:
    do, words = UNUSABLE[what]
    do(filled)
    (bad,) = [problem for problem in problems(examine(filled.data)) if words in problem]
    assert bad.isprintable()
    before = filled.files()
    assert any(done.startswith("Set ") for done in repair(filled.data))
    assert any(".unreadable was set aside" in problem for problem in problems(examine(filled.data)))
    assert not [problem for problem in problems(examine(filled.data)) if problem == bad]
    assert len(filled.files()) == len(before)


def test_what_was_set_aside_and_is_right_is_put_back(filled: Filled) -> None:
    before = filled.files()
    for path in (filled.data.file(ACTIVE, filled.paused.id), filled.data.file(WORKFLOWS, "flow")):
        path.rename(path.with_name(f"{path.name}.unreadable-3"))
    found = [
        problem for problem in problems(examine(filled.data)) if "but it can be used" in problem
    ]
    assert len(found) == 2
    repair(filled.data)
    assert examine(filled.data).findings == []
    assert filled.files() == before


def test_what_was_set_aside_is_not_put_back_where_there_is_another(filled: Filled) -> None:
    path = filled.data.file(FINISHED, filled.ended.id)
    shutil.copy(path, filled.path / "active" / f"{path.name}.unreadable")
    (found,) = problems(examine(filled.data))
    assert "was set aside, as it could not be used." in found
    assert repair(filled.data) == []


@pytest.mark.parametrize("what", MENDED)
def test_what_is_mended(what: str, filled: Filled) -> None:
    before = filled.files()
    do, words = MENDED[what]
    do(filled)
    assert [words in problem for problem in problems(examine(filled.data))] == [True]
    assert len(repair(filled.data)) == 1
    assert examine(filled.data).findings == []
    assert filled.files() == before


@pytest.mark.parametrize("what", TOLD)
def test_what_is_only_told(what: str, filled: Filled) -> None:
    do, words = TOLD[what]
    do(filled)
    (filled.path / "inputs.toml").touch()
    (filled.path / "inputs.toml").chmod(0o600)
    files = {name: (filled.path / name).read_bytes() for name in filled.files()}
    report = examine(filled.data)
    assert any(words in problem for problem in problems(report)), report
    assert repair(filled.data) == []
    assert problems(examine(filled.data)) == problems(report)
    assert {name: (filled.path / name).read_bytes() for name in filled.files()} == files


@pytest.mark.parametrize("content", ["", "null", '{"origin": "http://[::1", "by_browser": true}'])
def test_an_address_that_is_none_is_noted(content: str, filled: Filled) -> None:
    (filled.path / "address.json").write_text(content)
    report = examine(filled.data)
    assert problems(report) == []
    assert notes(report) == [f"{filled.path}/address.json holds no address that links can start with."]  # fmt: skip
    (filled.path / "address.json").write_text('{"origin": "http://[::1]", "by_browser": true}')
    assert notes(examine(filled.data)) == []


def test_outputs_whose_run_is_gone_are_removed(filled: Filled) -> None:
    filled.data.file(FINISHED, filled.ended.id).unlink()
    report = examine(filled.data)
    assert problems(report) == [f"There are outputs of run {filled.ended.id}, which is gone."]
    assert notes(report) == [
        f"There are mails of runs that are gone: {filled.ended.id}.",
        f"There are files of runs that are gone, or of another server: {filled.ended.id}.",
    ]
    repair(filled.data)
    assert os.listdir(filled.path / "outputs") == [f"{filled.paused.id}.json"]
    assert problems(examine(filled.data)) == []
    assert (filled.path / "mail" / f"{filled.ended.id}-1-0-0.eml").exists()


def test_outputs_of_a_run_that_was_set_aside_stay(filled: Filled, tmp_path: Path) -> None:
    file = filled.data.file(FINISHED, filled.ended.id)
    file.rename(file.with_name(f"{file.name}.unreadable")).write_bytes(b"{")
    export_runs(filled.data, tmp_path / "a.zip", [filled.paused.id])
    report = examine(filled.data)
    assert len(problems(report)) == 1
    assert notes(report) == [f"Moved out by an export: {filled.paused.id}."]
    assert repair(filled.data) == []
    assert filled.data.has(OUTPUTS, filled.ended.id)
    import_runs(filled.data, tmp_path / "a.zip")
    assert notes(examine(filled.data)) == []


def test_surroundings(filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_checks, "LITTLE_ROOM", 10**18)
    assert "MB left" in problems(examine(filled.data))[0]
    monkeypatch.undo()
    (tmp_path / "config").mkdir()
    configuration = "c.PDFlow.smtp_url = 'ftp://me:pa55word@host'"
    (tmp_path / "config" / "jupyter_server_config.py").write_text(configuration)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    (problem,) = problems(examine(filled.data))
    assert "smtp_url must look like" in problem
    assert "pa55word" not in problem
    monkeypatch.undo()
    add_mail(filled.data, filled.ended, number=1, error="451 busy")
    assert notes(examine(filled.data)) == ["Mails still to be delivered: 1; the latest error: 451 busy"]  # fmt: skip
    other = fill(tmp_path / "other", replace(SOURCE, kernel_name="fortran"))
    (problem,) = problems(examine(other.data))
    assert "needs the kernelspec 'fortran'" in problem


def test_no_repair_while_somebody_works_there(filled: Filled) -> None:
    (filled.path / "active" / "x.json.tmp").touch()
    with DataDir(filled.path).held("another command"):
        report = examine(filled.data)
        assert report.holder is not None
        assert report.holder.startswith("`another command` (process ")
        assert report.findings == []
        with pytest.raises(DataDirLockedError, match="stop that first"):
            repair(filled.data)
    assert (filled.path / "active" / "x.json.tmp").exists()
