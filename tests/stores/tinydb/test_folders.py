"""Folders of runs that steps have filled in every way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.stores.tinydb.folders import RunFolders, clash_of, flaw_of_path, remove_tree


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    made = RunFolders(tmp_path / "files")
    made.open()
    (made.path / "r").mkdir()
    return made


def listed(folders: RunFolders) -> list[str]:
    return [file.path for file in folders.list("r")]


def test_paths_are_in_order_whatever_is_a_folder(folders: RunFolders) -> None:
    names = ["a/b", "a/z/y", "a.txt", "a-", "b", "a0", "B"]
    for name in names:
        path = folders.path / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert listed(folders) == sorted(names)


def test_folders_nested_more_deeply_than_functions_can_be(
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


def test_a_link_in_the_place_of_a_runs_folder_is_not_followed(
    folders: RunFolders, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()
    (folders.path / "r").rmdir()
    (folders.path / "r").symlink_to(tmp_path / "mine")
    assert listed(folders) == []
    with pytest.raises(NotFoundError):
        folders.read("r", "x")
    remove_tree(folders.path / "r")
    assert (tmp_path / "mine" / "x").exists()


def test_the_mark_stays(tmp_path: Path) -> None:
    first, second = RunFolders(tmp_path / "files"), RunFolders(tmp_path / "files")
    first.open()
    second.open()
    assert first.id == second.id
    assert RunFolders(tmp_path / "files").id != first.id


def test_what_can_not_be_made_is_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    RunFolders(tmp_path / "file" / "files").open()
    assert "Steps can't use pd.files: " in caplog.text
    assert "which PDFlow.files_dir names, and restart the server" in caplog.text


@pytest.mark.parametrize("path", ["a", "a/b c", "…/ü", "10:30?.csv", "a" * 255, ".hidden"])
def test_ordinary_paths(path: str) -> None:
    assert flaw_of_path(path) is None


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "a/..", "\0", "a\x9f", "\udcff"])
def test_paths_that_are_none(path: str) -> None:
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
def test_names_that_some_systems_take_for_one(paths: list[str], clash: str | None) -> None:
    assert clash_of(paths) == clash
