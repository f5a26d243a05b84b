"""Export and import, also when they are cut short."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from ulid import ULID

from jupyter_pdflow.exceptions import (
    DataDirLockedError,
    KeyFileError,
    NotExportedError,
    NotFoundError,
    StoredFileError,
)
from jupyter_pdflow.maintenance.doctor import examine
from jupyter_pdflow.maintenance.transfer import export_runs, import_runs
from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.server.links.tokens import (
    IMPORTED_KEYS,
    LINK_KEYS,
    Links,
    _serializer,
    read_imported_keys,
    read_keys,
)
from jupyter_pdflow.stores.tinydb.layout import (
    ACTIVE,
    EXPORTED,
    FINISHED,
    OUTPUTS,
    WORKFLOWS,
    DataDir,
    DataLock,
)
from tests.maintenance.sample_data import (
    HISTORY,
    SOURCE,
    SampleData,
    add_email,
    make_format_1,
    make_sample_data,
)


def run_killed(command: str, paths: list[Path]) -> int:
    """Run a command once per directory, killed a little later in each; return how many were killed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.maintenance.kill_at_renames", command, *map(str, paths)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def with_imported_keys(files: list[str]) -> list[str]:
    """Return which files an import makes of these: link keys are in a file of their own."""
    return sorted({*files, IMPORTED_KEYS} - {LINK_KEYS})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "runs.zip"


@pytest.fixture
def other(tmp_path: Path) -> DataDir:
    (tmp_path / "other").mkdir(mode=0o700)
    return DataDir(tmp_path / "other")


def test_what_has_ended_is_copied_and_the_rest_is_moved(sample: SampleData, archive: Path) -> None:
    queued = add_email(sample.data, sample.ended, number=1)
    before = sample.files()
    done = export_runs(sample.data, archive, [])
    assert (done.copied, done.moved) == ([sample.ended.id], [sample.paused.id])
    assert (done.emails, done.files, done.keys) == (3, 2, 1)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    taken = [name for name in before if sample.paused.id in name]
    taken.append(f"mail/queued/{queued.id}.json")
    kept = [name for name in before if name not in taken]
    there = [name.replace("files/", "files/exported/") for name in taken if "files/" in name]
    there += [f"exported/{name}" for name in taken if "files/" not in name]
    assert sample.files() == sorted(kept + there)
    with zipfile.ZipFile(archive) as found:
        names = {name for name in before if name != LINK_KEYS} | {"manifest.json", "link_keys.json"}
        assert set(found.namelist()) == names


def test_all_arrives(sample: SampleData, archive: Path, other: DataDir) -> None:
    add_email(sample.data, sample.ended, number=1)
    before = sample.files()
    token = Links.from_files(sample.path / LINK_KEYS, str).token("resume", sample.paused.id, "a", 1)
    export_runs(sample.data, archive, [])
    done = import_runs(other, archive)
    assert sorted(done.new) == sorted([sample.paused.id, sample.ended.id])
    assert (done.same, done.other, done.waiting, done.keys) == ([], [], 1, 1)
    there = SampleData(other, sample.paused, sample.ended)
    assert there.files() == with_imported_keys(before)
    assert other.read(ACTIVE, sample.paused.id) == sample.paused
    assert other.read(FINISHED, sample.ended.id) == sample.ended
    for name in there.files():
        assert stat.S_IMODE((other.path / name).stat().st_mode) == 0o600, name
    assert [finding for finding in examine(other).findings if finding.grave] == []
    links = Links.from_files(other.path / LINK_KEYS, str)
    assert links.read("resume", token)[:3] == (sample.paused.id, "a", 1)
    assert links.token("resume", sample.paused.id, "a", 1) != token
    assert [finding for finding in examine(other).findings if finding.grave] == []


class TestHistory:
    """A run's history goes with it, as far as it can be used, in one line."""

    def test_it_arrives(self, sample: SampleData, archive: Path, other: DataDir) -> None:
        there = SampleData(other, sample.paused, sample.ended)
        export_runs(sample.data, archive, [])
        import_runs(other, archive)
        for run, folder in ((sample.paused, ACTIVE), (sample.ended, FINISHED)):
            assert there.history(run) == HISTORY
            content = other.file(folder, run.id).read_bytes()
            with zipfile.ZipFile(archive) as found:
                assert found.read(folder.file(run.id)) == content
            assert content.endswith(b"\n")
            assert content.count(b"\n") == 1

    def test_a_damaged_line_costs_its_entries(
        self, sample: SampleData, archive: Path, other: DataDir
    ) -> None:
        path = sample.data.file(ACTIVE, sample.paused.id)
        first, last = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(first[:-9] + b"\n" + last + b'{"run":{"1":{"form')
        export_runs(sample.data, archive, [])
        import_runs(other, archive)
        assert SampleData(other, sample.paused, sample.ended).history(sample.paused) == {
            3: "finish"
        }
        assert other.read(ACTIVE, sample.paused.id) == sample.paused

    @pytest.mark.parametrize(
        "entry",
        [
            b'"9":{}',
            b'"' + b"9" * 20 + b'":%b',
            b'"9":{"at":"2026-01-01T00:00:00","event":"x","step":"a","execution":1,"attempt":1}',
            b'"9":{"at":"2026-01-01T00:00:00Z","event":"x","step":"a","execution":-1,"attempt":1}',
        ],
        ids=["no fields", "a long number", "no time zone", "a negative count"],
    )
    def test_a_wrong_entry_is_left_out(
        self, entry: bytes, sample: SampleData, archive: Path, other: DataDir
    ) -> None:
        path = sample.data.file(ACTIVE, sample.paused.id)
        content = path.read_bytes()
        good = content[content.rindex(b'"3":') + 4 : -3]
        path.write_bytes(content[:-3] + b"," + entry.replace(b"%b", good) + b"}}\n")
        export_runs(sample.data, archive, [])
        import_runs(other, archive)
        there = SampleData(other, sample.paused, sample.ended)
        assert there.history(sample.paused) == sample.history(sample.ended) == HISTORY

    def test_a_run_of_format_1_arrives_without(
        self, sample: SampleData, archive: Path, other: DataDir
    ) -> None:
        older = make_format_1(sample.data, sample.paused)
        export_runs(sample.data, archive, [])
        assert not older.exists()
        there = SampleData(other, sample.paused, sample.ended)
        assert import_runs(other, archive).new == sorted([sample.paused.id, sample.ended.id])
        assert other.name(ACTIVE, sample.paused.id) == f"active/{sample.paused.id}.jsonl"
        assert other.read(ACTIVE, sample.paused.id) == sample.paused
        assert (there.history(sample.paused), there.history(sample.ended)) == ({}, HISTORY)


def test_a_run_in_two_files_is_not_exported(sample: SampleData, archive: Path) -> None:
    newer = sample.data.file(ACTIVE, sample.paused.id)
    content = newer.read_bytes()
    make_format_1(sample.data, sample.paused)
    newer.write_bytes(content)
    with pytest.raises(NotExportedError, match="is not used: its run is in active/"):
        export_runs(sample.data, archive, [])
    assert export_runs(sample.data, archive, [sample.ended.id]).copied == [sample.ended.id]


def test_half_a_first_line_is_no_run(sample: SampleData, archive: Path, tmp_path: Path) -> None:
    half = sample.data.file(ACTIVE, str(ULID()))
    half.write_bytes(b'{"run":{"1":{"form')
    done = export_runs(sample.data, archive, [])
    assert (done.moved, done.copied) == ([sample.paused.id], [sample.ended.id])
    assert half.exists()
    other = make_sample_data(tmp_path / "other").data
    other.file(ACTIVE, sample.paused.id).write_bytes(b'{"run":{"1":{"form')
    assert import_runs(other, archive).new == sorted([sample.paused.id, sample.ended.id])
    assert other.read(ACTIVE, sample.paused.id) == sample.paused


def test_versions_before_histories_refuse_a_directory_with_imported_runs(
    sample: SampleData, archive: Path, tmp_path: Path
) -> None:
    other = make_sample_data(tmp_path / "other")
    before = (other.path / LINK_KEYS).read_text()
    export_runs(sample.data, archive, [])
    import_runs(other.data, archive)
    assert (other.path / LINK_KEYS).read_text().startswith(f"{before.rstrip()}\n# Data format 2")


def test_a_finished_run_is_as_old_as_before(
    sample: SampleData, archive: Path, other: DataDir
) -> None:
    export_runs(sample.data, archive, [])
    import_runs(other, archive)
    assert sample.ended.ended_at is not None
    written = other.file(FINISHED, sample.ended.id).stat().st_mtime
    assert written == pytest.approx(sample.ended.ended_at.timestamp(), abs=0.001)


def test_only_the_runs_that_were_named(sample: SampleData, archive: Path, other: DataDir) -> None:
    done = export_runs(sample.data, archive, [sample.ended.id])
    assert (done.moved, done.keys) == ([], 0)
    assert sample.data.has(ACTIVE, sample.paused.id)
    assert import_runs(other, archive).new == [sample.ended.id]
    assert not (other.path / LINK_KEYS).exists()


def test_importing_again_changes_nothing(sample: SampleData, archive: Path, other: DataDir) -> None:
    export_runs(sample.data, archive, [])
    import_runs(other, archive)
    files = {path: path.read_bytes() for path in other.path.rglob("*") if path.is_file()}
    done = import_runs(other, archive)
    assert (done.new, sorted(done.same), done.other) == (
        [],
        sorted([sample.paused.id, sample.ended.id]),
        [],
    )
    assert {path: path.read_bytes() for path in files} == files


def test_what_is_there_is_not_overwritten(
    sample: SampleData, archive: Path, other: DataDir
) -> None:
    export_runs(sample.data, archive, [])
    import_runs(other, archive)
    went_on = replace(sample.paused, event="went on")
    other.write(ACTIVE, went_on.id, went_on)
    other.file(FINISHED, sample.ended.id).unlink()
    other.file(OUTPUTS, sample.ended.id).unlink()
    done = import_runs(other, archive)
    assert (done.new, done.same, done.other) == ([sample.ended.id], [], [sample.paused.id])
    assert other.read(ACTIVE, went_on.id) == went_on


def test_importing_at_home_brings_the_runs_back(sample: SampleData, archive: Path) -> None:
    before = sample.files()
    export_runs(sample.data, archive, [])
    done = import_runs(sample.data, archive)
    assert (done.new, done.same, done.keys) == ([sample.paused.id], [sample.ended.id], 0)
    assert sample.files() == before


def test_what_would_begin_at_once_is_left_out(
    sample: SampleData, archive: Path, other: DataDir
) -> None:
    queued, running = add_queued(sample), add_queued(sample)
    sample.data.write(ACTIVE, running.id, apply(running, Begin(), running.created_at).run)
    export_runs(sample.data, archive, [])
    done = import_runs(other, archive)
    assert sorted(done.held) == sorted([queued.id, running.id])
    assert sorted(done.new) == sorted([sample.paused.id, sample.ended.id])
    assert not [path for path in other.path.rglob("*") if queued.id in path.name]
    done = import_runs(other, archive, start=True)
    assert (sorted(done.new), done.held) == (sorted([queued.id, running.id]), [])
    assert other.read(ACTIVE, queued.id) == queued
    assert other.read(ACTIVE, running.id).status == "running"


def add_queued(sample: SampleData) -> Run:
    known = sample.data.read(WORKFLOWS, "flow")
    run = new_run(str(ULID()), known.versions[known.newest], None, datetime.now(UTC)).run
    sample.data.write(ACTIVE, run.id, run)
    add_email(sample.data, run)
    return run


class TestKeys:
    """A key that came with an archive is good for the runs that came with it, wherever they go."""

    def token(self, sample: SampleData, run_id: str) -> str:
        """Sign a link of any run with the key of a data directory."""
        return Links.from_files(sample.path / LINK_KEYS, str).token("cancel", run_id, "a", 1)

    def read(self, data: DataDir, token: str) -> tuple[str, str, int] | None:
        try:
            return Links.from_files(data.path / LINK_KEYS, str).read("cancel", token)
        except NotFoundError:
            return None

    def test_it_forges_no_link_of_another_run(
        self, sample: SampleData, archive: Path, tmp_path: Path
    ) -> None:
        other = make_sample_data(tmp_path / "other", replace(SOURCE, setup=("import os",)))
        export_runs(sample.data, archive, [])
        import_runs(other.data, archive)
        mine, forged = self.token(sample, sample.paused.id), self.token(sample, other.paused.id)
        assert self.read(other.data, mine)[:3] == (sample.paused.id, "a", 1)
        assert self.read(other.data, forged) is None

    def test_it_goes_on_with_its_runs(
        self, sample: SampleData, archive: Path, tmp_path: Path, other: DataDir
    ) -> None:
        between = make_sample_data(tmp_path / "between", replace(SOURCE, setup=("import os",)))
        export_runs(sample.data, archive, [])
        import_runs(between.data, archive)
        made_there = self.token(between, sample.paused.id)
        export_runs(between.data, archive.with_name("again.zip"), [])
        assert import_runs(other, archive.with_name("again.zip")).keys == 2
        assert self.read(other, self.token(sample, sample.paused.id)) is not None
        assert self.read(other, made_there) is not None
        assert self.read(other, self.token(between, between.paused.id)) is not None
        assert self.read(other, self.token(sample, between.paused.id)) is None

    def test_those_of_an_older_import_stay(self, sample: SampleData) -> None:
        """They are among the server's own keys, and verify links as before."""
        old = "old-" * 11
        path = sample.path / LINK_KEYS
        path.write_text(path.read_text() + old)
        serializer = _serializer("cancel", [old])
        token = str(serializer.dumps([sample.paused.id, "a", 1]))
        assert self.read(sample.data, token)[:3] == (sample.paused.id, "a", 1)

    def test_damaged_ones_stop_an_import_before_it_begins(
        self, sample: SampleData, archive: Path, other: DataDir
    ) -> None:
        export_runs(sample.data, archive, [])
        (other.path / IMPORTED_KEYS).write_text("[]")
        with pytest.raises(KeyFileError):
            import_runs(other, archive)
        assert SampleData(other, sample.paused, sample.ended).files() == [IMPORTED_KEYS]


def test_versions_are_added_to_a_workflow_that_is_there(
    sample: SampleData, archive: Path, tmp_path: Path
) -> None:
    other = make_sample_data(tmp_path / "other", replace(SOURCE, setup=("import os",)))
    newest = other.data.read(WORKFLOWS, "flow").newest
    first = read_keys(other.path / LINK_KEYS)
    export_runs(sample.data, archive, [])
    import_runs(other.data, archive)
    known = other.data.read(WORKFLOWS, "flow")
    assert known.newest == newest
    numbers = {version: each.number for version, each in known.versions.items()}
    assert numbers == {newest: 1, sample.paused.version: 2}
    assert read_keys(other.path / LINK_KEYS) == first
    (key,) = read_keys(sample.path / LINK_KEYS)
    imported = read_imported_keys(other.path / IMPORTED_KEYS)
    assert imported == {key: {sample.paused.id, sample.ended.id}}


def test_refusals(sample: SampleData, archive: Path) -> None:
    with pytest.raises(NotFoundError, match="no run 'nope'"):
        export_runs(sample.data, archive, ["nope"])
    archive.touch()
    with pytest.raises(NotExportedError, match="exists already"):
        export_runs(sample.data, archive, [])
    archive.unlink()
    with DataLock(sample.path).held("another command"):
        with pytest.raises(DataDirLockedError, match="in use by `another command`"):
            export_runs(DataDir(sample.path), archive, [])
        with pytest.raises(DataDirLockedError, match="in use by `another command`"):
            import_runs(DataDir(sample.path), archive)
    assert not archive.exists()


def test_what_can_not_go_on_elsewhere_is_not_exported(sample: SampleData, archive: Path) -> None:
    before = sample.files()
    sample.data.file(OUTPUTS, sample.paused.id).write_bytes(b"{")
    with pytest.raises(StoredFileError, match="is not JSON"):
        export_runs(sample.data, archive, [])
    sample.data.file(OUTPUTS, sample.paused.id).unlink()
    sample.data.write(ACTIVE, sample.paused.id, replace(sample.paused, version="gone"))
    with pytest.raises(NotExportedError, match="version 'gone' of workflow 'flow'"):
        export_runs(sample.data, archive, [])
    sample.data.write(ACTIVE, sample.paused.id, replace(sample.paused, position=7))
    with pytest.raises(StoredFileError, match="a step that it does not have"):
        export_runs(sample.data, archive, [])
    before.remove(OUTPUTS.file(sample.paused.id))
    assert sample.files() == before
    assert not list(archive.parent.glob("runs.zip*"))


def test_an_export_that_fails_puts_everything_back(sample: SampleData, archive: Path) -> None:
    before = sample.files()
    (sample.path / "exported" / "mail" / "done").mkdir(parents=True)
    (sample.path / "exported" / "mail" / "done" / f"{sample.paused.id}-1-0-0.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        export_runs(sample.data, archive, [])
    assert sample.files() == before
    assert not list(archive.parent.glob("runs.zip*"))


@pytest.mark.kills
def test_a_killed_export_leaves_each_run_in_one_place(sample: SampleData, tmp_path: Path) -> None:
    """Whenever it is killed, a run that has not ended is here, or in an archive, never in both."""
    before = sample.files()
    paths = [Path(shutil.copytree(sample.path, tmp_path / f"{n}")) for n in range(30)]
    times = run_killed("export", paths)
    assert times > 8
    for path in paths[:times]:
        archive = path.with_name(f"{path.name}.zip")
        draft = archive.with_name(f"{archive.name}.tmp")
        here = sample.at(path)
        stays = here.data.has(ACTIVE, sample.paused.id)
        assert stays != (path / EXPORTED / ACTIVE.file(sample.paused.id)).exists()
        assert not (stays and archive.exists())
        import_runs(here.data, archive if archive.exists() else draft)
        assert here.files() == before


@pytest.mark.kills
def test_a_killed_import_goes_on_where_it_stopped(sample: SampleData, tmp_path: Path) -> None:
    before = sample.files()
    paths = [tmp_path / f"{n}" for n in range(40)]
    export_runs(sample.data, paths[0].with_suffix(".zip"), [])
    for path in paths:
        path.mkdir()
        if path is not paths[0]:
            shutil.copy(paths[0].with_suffix(".zip"), path.with_suffix(".zip"))
    times = run_killed("import", paths)
    assert times > 12
    for path in paths[:times]:
        there = sample.at(path)
        for run, room in ((sample.paused, ACTIVE), (sample.ended, FINISHED)):
            is_there = there.data.has(room, run.id)
            assert there.data.has(OUTPUTS, run.id) or not is_there
            assert there.data.has(WORKFLOWS, run.workflow_id) or not is_there
        import_runs(there.data, path.with_suffix(".zip"))
        here = [name for name in there.files() if not name.endswith(".tmp")]
        assert here == with_imported_keys(before)


def test_a_full_disk(sample: SampleData, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sample.files()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            export_runs(sample.data, archive, [])
    assert sample.files() == before
    assert not list(archive.parent.glob("runs.zip*"))
