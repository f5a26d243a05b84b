"""The files of runs: exported, imported, and never anywhere else than in their run's folder."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import NotExportedError
from jupyter_pdflow.maintenance import archive as archive_module
from jupyter_pdflow.maintenance.datadir import ACTIVE, FINISHED, DataDir
from jupyter_pdflow.maintenance.doctor import examine, repair
from jupyter_pdflow.maintenance.exporting import export_runs
from jupyter_pdflow.maintenance.importing import import_runs
from tests.maintenance.support import Filled, add_file


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "runs.zip"


@pytest.fixture
def other(tmp_path: Path) -> DataDir:
    (tmp_path / "other").mkdir(mode=0o700)
    return DataDir(tmp_path / "other", tmp_path / "far" / "files")


def folder(data: DataDir, run_id: str) -> Path:
    return data.at(f"files/{run_id}")


def content(place: Path) -> dict[str, bytes | None]:
    """Read all that is below a folder."""
    paths = sorted(place.rglob("*"))
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in paths
    }


def test_all_arrives_for_its_owner_only(filled: Filled, archive: Path, other: DataDir) -> None:
    run_id = filled.paused.id
    add_file(filled.data, filled.paused, "Model.bin", os.urandom(3 * 2**20)).chmod(0o644)
    (folder(filled.data, run_id) / "empty" / "one").mkdir(parents=True)
    before = content(folder(filled.data, run_id))
    export_runs(filled.data, archive, [])
    assert not folder(filled.data, run_id).exists()
    assert content(filled.data.exported(f"files/{run_id}")) == before
    import_runs(other, archive)
    assert content(folder(other, run_id)) == before
    for path in (other.folders.path, folder(other, run_id)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in filter(Path.is_file, folder(other, run_id).rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (other.path / "files").exists()


def test_the_format_says_whether_there_are_files(filled: Filled, tmp_path: Path) -> None:
    def exported(name: str) -> int:
        export_runs(filled.data, tmp_path / name, [filled.ended.id])
        with zipfile.ZipFile(tmp_path / name) as found:
            return int(json.loads(found.read("manifest.json"))["archive"])

    assert exported("with.zip") == 3
    shutil.rmtree(folder(filled.data, filled.ended.id))
    assert exported("without.zip") == 1


def test_an_empty_folder_of_a_run_arrives(filled: Filled, archive: Path, other: DataDir) -> None:
    place = folder(filled.data, filled.ended.id)
    (place / "sub dir" / "ü.bin").unlink()
    (place / "sub dir").rmdir()
    export_runs(filled.data, archive, [])
    import_runs(other, archive)
    assert content(folder(other, filled.ended.id)) == {}


def test_links_are_never_followed_out_of_the_folder(
    filled: Filled, archive: Path, other: DataDir
) -> None:
    place = folder(filled.data, filled.paused.id)
    (place / "inside").symlink_to("sub dir/ü.bin")
    (place / "outside").symlink_to(filled.path / "link_keys")
    (place / "loop").symlink_to("loop")
    (place / "folder").symlink_to("/etc")
    os.mkfifo(place / "pipe")
    export_runs(filled.data, archive, [])
    import_runs(other, archive)
    found = content(folder(other, filled.paused.id))
    assert found.keys() == {"inside", "sub dir", "sub dir/ü.bin"}
    assert found["inside"] == found["sub dir/ü.bin"]
    assert not (folder(other, filled.paused.id) / "inside").is_symlink()


@pytest.mark.parametrize("path", ["a\nb", "a\\b", os.fsdecode(b"\xff"), "SUB DIR", "sub dir/Ü.BIN"])
def test_names_that_can_not_go_everywhere_are_refused_in_words(
    filled: Filled, archive: Path, path: str
) -> None:
    add_file(filled.data, filled.paused, path)
    before = filled.files()
    with pytest.raises(NotExportedError, match="Rename or remove that file") as refused:
        export_runs(filled.data, archive, [])
    assert str(refused.value).isprintable()
    assert filled.files() == before
    assert not archive.exists()


def test_a_file_may_be_larger_than_a_record(
    filled: Filled, archive: Path, other: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "FILE_LIMIT", 20_000)
    monkeypatch.setattr(archive_module, "COPIED_AT_ONCE", 1_000)
    add_file(filled.data, filled.paused, "large", bytes(50_000))
    export_runs(filled.data, archive, [])
    import_runs(other, archive)
    assert (folder(other, filled.paused.id) / "large").stat().st_size == 50_000


def test_files_that_are_there_and_differ_are_left(
    filled: Filled, archive: Path, other: DataDir
) -> None:
    export_runs(filled.data, archive, [])
    for run, path in ((filled.paused, "sub dir/ü.bin"), (filled.ended, "more")):
        add_file(other, run, path, b"mine")
    done = import_runs(other, archive)
    assert (done.new, sorted(done.other)) == ([], sorted([filled.paused.id, filled.ended.id]))
    assert not other.has(ACTIVE, filled.paused.id)
    assert content(folder(other, filled.ended.id)) == {"more": b"mine"}


def test_a_disk_that_is_full_leaves_nothing(
    filled: Filled, archive: Path, other: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_runs(filled.data, archive, [])

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("jupyter_pdflow.maintenance.importing.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            import_runs(other, archive)
    assert [path for path in other.folders.path.rglob("*") if path.is_file()] == []
    assert len(import_runs(other, archive).new) == 2


def test_an_import_at_home_brings_them_back(filled: Filled, archive: Path) -> None:
    before = filled.files()
    export_runs(filled.data, archive, [])
    import_runs(filled.data, archive)
    assert filled.files() == before
    assert not list((filled.path / "files" / "exported").iterdir())


def test_the_doctor_names_folders_of_runs_that_are_gone(filled: Filled) -> None:
    filled.data.file(FINISHED, filled.ended.id).unlink()
    (filled.path / "files" / f"{filled.paused.id}.tmp" / "half").mkdir(parents=True)
    findings = [finding.problem for finding in examine(filled.data).findings]
    assert f"files/{filled.paused.id}.tmp was left by an import that was cut short." in findings
    gone = f"There are files of runs that are gone, or of another server: {filled.ended.id}."
    assert gone in findings
    assert f"Removed files/{filled.paused.id}.tmp." in repair(filled.data)
    assert not (filled.path / "files" / f"{filled.paused.id}.tmp").exists()
    assert folder(filled.data, filled.ended.id).exists()
