"""The files of runs are exported and imported, and stay in their run's folder."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import NotExportedError
from jupyter_pdflow.maintenance.archive import ArchiveLimits
from jupyter_pdflow.maintenance.doctor import examine, repair
from jupyter_pdflow.maintenance.transfer import export_runs, import_runs
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED, DataDir
from tests.maintenance.sample_data import SampleData, add_file, make_format_1


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
    """Return the content of all files below a folder; None for a folder."""
    paths = sorted(place.rglob("*"))
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in paths
    }


def test_all_arrives_for_its_owner_only(sample: SampleData, archive: Path, other: DataDir) -> None:
    run_id = sample.paused.id
    add_file(sample.data, sample.paused, "Model.bin", os.urandom(3 * 2**20)).chmod(0o644)
    (folder(sample.data, run_id) / "empty" / "one").mkdir(parents=True)
    before = content(folder(sample.data, run_id))
    export_runs(sample.data, archive, [])
    assert not folder(sample.data, run_id).exists()
    assert content(sample.data.at(f"files/{run_id}", exported=True)) == before
    import_runs(other, archive)
    assert content(folder(other, run_id)) == before
    for path in (other.folders.path, folder(other, run_id)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in filter(Path.is_file, folder(other, run_id).rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (other.path / "files").exists()


def test_the_format_says_whether_there_are_histories_and_files(
    sample: SampleData, tmp_path: Path
) -> None:
    def exported(name: str) -> int:
        export_runs(sample.data, tmp_path / name, [sample.ended.id])
        with zipfile.ZipFile(tmp_path / name) as found:
            return int(json.loads(found.read("manifest.json"))["archive"])

    assert exported("with histories.zip") == 4
    make_format_1(sample.data, sample.ended)
    assert exported("with.zip") == 3
    shutil.rmtree(folder(sample.data, sample.ended.id))
    assert exported("without.zip") == 1


def test_an_empty_folder_of_a_run_arrives(
    sample: SampleData, archive: Path, other: DataDir
) -> None:
    place = folder(sample.data, sample.ended.id)
    (place / "sub dir" / "ü.bin").unlink()
    (place / "sub dir").rmdir()
    export_runs(sample.data, archive, [])
    import_runs(other, archive)
    assert content(folder(other, sample.ended.id)) == {}


def test_links_are_never_followed_out_of_the_folder(
    sample: SampleData, archive: Path, other: DataDir
) -> None:
    place = folder(sample.data, sample.paused.id)
    (place / "inside").symlink_to("sub dir/ü.bin")
    (place / "outside").symlink_to(sample.path / "link_keys")
    (place / "loop").symlink_to("loop")
    (place / "folder").symlink_to("/etc")
    os.mkfifo(place / "pipe")
    export_runs(sample.data, archive, [])
    import_runs(other, archive)
    found = content(folder(other, sample.paused.id))
    assert found.keys() == {"inside", "sub dir", "sub dir/ü.bin"}
    assert found["inside"] == found["sub dir/ü.bin"]
    assert not (folder(other, sample.paused.id) / "inside").is_symlink()


@pytest.mark.parametrize("path", ["a\nb", "a\\b", os.fsdecode(b"\xff"), "SUB DIR", "sub dir/Ü.BIN"])
def test_names_that_can_not_go_everywhere_are_refused_in_words(
    sample: SampleData, archive: Path, path: str
) -> None:
    add_file(sample.data, sample.paused, path)
    before = sample.files()
    with pytest.raises(NotExportedError, match="Rename or remove that file") as refused:
        export_runs(sample.data, archive, [])
    assert str(refused.value).isprintable()
    assert sample.files() == before
    assert not archive.exists()


def test_a_file_may_be_larger_than_a_record(
    sample: SampleData, archive: Path, other: DataDir
) -> None:
    add_file(sample.data, sample.paused, "large", bytes(50_000))
    export_runs(sample.data, archive, [])
    limits = ArchiveLimits(records=10**6, total=10**6, record=20_000)
    import_runs(other, archive, limits=limits)
    assert (folder(other, sample.paused.id) / "large").stat().st_size == 50_000


def test_files_that_are_there_and_differ_are_left(
    sample: SampleData, archive: Path, other: DataDir
) -> None:
    export_runs(sample.data, archive, [])
    for run, path in ((sample.paused, "sub dir/ü.bin"), (sample.ended, "more")):
        add_file(other, run, path, b"mine")
    done = import_runs(other, archive)
    assert (done.new, sorted(done.other)) == ([], sorted([sample.paused.id, sample.ended.id]))
    assert not other.has(ACTIVE, sample.paused.id)
    assert content(folder(other, sample.ended.id)) == {"more": b"mine"}


def test_a_disk_that_is_full_leaves_nothing(
    sample: SampleData, archive: Path, other: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_runs(sample.data, archive, [])

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            import_runs(other, archive)
    assert [path for path in other.folders.path.rglob("*") if path.is_file()] == []
    assert len(import_runs(other, archive).new) == 2


def test_an_import_at_home_brings_them_back(sample: SampleData, archive: Path) -> None:
    before = sample.files()
    export_runs(sample.data, archive, [])
    import_runs(sample.data, archive)
    assert sample.files() == before
    assert not list((sample.path / "files" / "exported").iterdir())


def test_the_doctor_names_folders_of_runs_that_are_gone(sample: SampleData) -> None:
    sample.data.file(FINISHED, sample.ended.id).unlink()
    (sample.path / "files" / f"{sample.paused.id}.tmp" / "half").mkdir(parents=True)
    findings = [finding.problem for finding in examine(sample.data).findings]
    assert (
        f"files/{sample.paused.id}.tmp was left half-written by an import that was cut short."
        in findings
    )
    gone = f"There are files of runs that are gone, or of another server: {sample.ended.id}."
    assert gone in findings
    assert f"Removed files/{sample.paused.id}.tmp." in repair(sample.data)
    assert not (sample.path / "files" / f"{sample.paused.id}.tmp").exists()
    assert folder(sample.data, sample.ended.id).exists()
