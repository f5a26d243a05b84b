"""Folders of runs' files, whatever steps have written there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.pd.pd import FILES_ID_NAME
from jupyter_pdflow.stores import folders as folders_module
from jupyter_pdflow.stores.folders import RunFolders, clash_of, flaw_of_path, remove_tree


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    made = RunFolders(tmp_path / "files")
    made.open()
    (made.path / "r").mkdir()
    return made


def listed(folders: RunFolders) -> list[str]:
    return [file.path for file in folders.list("r")]


def test_files_are_sorted_by_path(folders: RunFolders) -> None:
    names = ["a/b", "a/z/y", "a.txt", "a-", "b", "a0", "B"]
    for name in names:
        path = folders.path / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert listed(folders) == sorted(names)


def test_folders_nested_beyond_the_recursion_limit(
    folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders.path / "other").mkdir()
    monkeypatch.chdir(folders.path / "r")
    Path("file").touch()
    for _ in range(1_500):
        Path("d").mkdir()
        os.chdir("d")
    Path("lost").touch()
    assert listed(folders) == ["file"]
    monkeypatch.undo()
    failed = folders.remove(["r", "other"])  # newer Pythons can remove it
    assert set(failed) <= {"r"}
    assert all("by `rm -r`" in str(error) for error in failed.values())
    assert not (folders.path / "other").exists()
    subprocess.run(["rm", "-r", str(folders.path / "r")], check=failed != {})


def test_a_link_instead_of_a_runs_folder_is_not_followed(
    folders: RunFolders, tmp_path: Path
) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "x").touch()
    (folders.path / "r").rmdir()
    (folders.path / "r").symlink_to(tmp_path / "target")
    assert listed(folders) == []
    with pytest.raises(NotFoundError):
        folders.read("r", "x")
    remove_tree(folders.path / "r")
    assert (tmp_path / "target" / "x").exists()


def test_the_mark_is_written_once(tmp_path: Path) -> None:
    first, second = RunFolders(tmp_path / "files"), RunFolders(tmp_path / "files")
    first.open()
    second.open()
    assert first.id == second.id
    assert RunFolders(tmp_path / "files").id != first.id


def test_a_folder_that_can_not_be_made_is_logged(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    RunFolders(tmp_path / "file" / "files").open()
    assert "Steps can't use pd.files: " in caplog.text
    assert "which PDFlow.files_dir names, and restart the server" in caplog.text


@pytest.mark.parametrize("path", ["a", "a/b c", "…/ü", "10:30?.csv", "a" * 255, ".hidden"])
def test_valid_paths(path: str) -> None:
    assert flaw_of_path(path) is None


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "a/..", "\0", "a\x9f", "\udcff"])
def test_invalid_paths(path: str) -> None:
    assert flaw_of_path(path) is not None


@pytest.mark.parametrize(
    ("paths", "clash"),
    [
        (["a", "b/a", "B/c", "c/"], None),
        ([""], None),
        (["a", "A"], "A"),
        (["b/a", "B/A"], "B/A"),
        (["a", "A/b"], "A/b"),
        (["a", "A/"], "A/"),
        (["ü", "u\N{COMBINING DIAERESIS}"], "u\N{COMBINING DIAERESIS}"),
    ],
)
def test_paths_that_are_the_same_on_some_systems(paths: list[str], clash: str | None) -> None:
    assert clash_of(paths) == clash


def test_servers_that_start_at_once_have_the_same_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = RunFolders(tmp_path / "files"), RunFolders(tmp_path / "files")
    first.open()
    with monkeypatch.context() as patch:  # the second has looked before the first one wrote
        patch.setattr(folders_module, "is_marked", lambda _: False)
        patch.setattr(os.path, "lexists", lambda _: False)
        second.open()
    assert first.id == second.id
    assert [path.name for path in first.path.iterdir()] == [FILES_ID_NAME]
