"""Replaced files are written again, if that harms no reader and no backup."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec import Raw

from jupyter_pdflow.stores.tinydb import storage as spares
from jupyter_pdflow.stores.tinydb.storage import Spares, clear, parse_record, replace_file
from jupyter_pdflow.stores.tinydb.writer import Order, carry_out


class ReplacedFile:
    """A file that is replaced again and again, spare files beside it, and a clock."""

    def __init__(self, path: Path) -> None:
        self.folder, self.file = path / "spare", path / "r.json"
        self.spares = Spares(self.folder)
        self.now = 0.0

    def write(self, content: bytes) -> int:
        replace_file(self.file, content, self.spares)
        assert self.file.read_bytes() == content
        return self.file.stat().st_ino

    def wait(self) -> None:
        self.now += spares.REST_SECONDS + 0.1


@pytest.fixture
def replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReplacedFile:
    found = ReplacedFile(tmp_path)
    monkeypatch.setattr(spares.time, "monotonic", lambda: found.now)
    return found


def test_a_replaced_file_is_written_again(replaced: ReplacedFile) -> None:
    first, second = replaced.write(b"1" * 100), replaced.write(b"2")
    replaced.wait()
    assert replaced.write(b"3" * 50) == first
    replaced.wait()
    assert replaced.write(b"4") == second


def test_a_replaced_file_is_not_written_at_once(replaced: ReplacedFile) -> None:
    replaced.write(b"first")
    with replaced.file.open("rb") as opened:
        for _ in range(3):
            replaced.write(b"later")
        assert opened.read() == b"first"


def test_a_file_with_another_name_is_not_written_again(
    replaced: ReplacedFile, tmp_path: Path
) -> None:
    replaced.write(b"first")
    backup = tmp_path / "backup.json"
    backup.hardlink_to(replaced.file)
    for content in (b"second", b"third", b"fourth"):
        replaced.wait()
        replaced.write(content)
    assert backup.read_bytes() == b"first"


def test_a_file_that_others_may_read_is_not_written_again(replaced: ReplacedFile) -> None:
    replaced.write(b"first")
    replaced.file.chmod(0o644)
    for _ in range(4):
        replaced.wait()
        replaced.write(b"later")
        assert replaced.file.stat().st_mode & 0o777 == 0o600


def test_a_large_file_is_not_a_spare_file(replaced: ReplacedFile) -> None:
    replaced.write(b"x" * (spares.LARGEST + 1))
    replaced.write(b"y")
    assert os.listdir(replaced.folder) == []


def test_the_number_of_spare_files_is_limited(
    replaced: ReplacedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "MOST", 2)
    for _ in range(5):
        replaced.write(b"x")
    assert len(os.listdir(replaced.folder)) == 2
    assert not replaced.spares.move(str(replaced.file))
    assert replaced.file.exists()


def test_a_file_that_is_not_needed_becomes_a_spare_file(replaced: ReplacedFile) -> None:
    first = replaced.write(b"1")
    assert replaced.spares.move(str(replaced.file))
    assert not replaced.file.exists()
    replaced.wait()
    assert replaced.write(b"2") == first


def test_a_failed_write_leaves_the_old_content(
    replaced: ReplacedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced.write(b"1")
    replaced.write(b"2")
    replaced.wait()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            replace_file(replaced.file, b"3", replaced.spares)
    assert replaced.file.read_bytes() == b"2"
    assert os.listdir(replaced.folder) == []
    replaced.write(b"4")


def test_a_disk_without_hard_links(replaced: ReplacedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for number in range(3):
        replaced.wait()
        replaced.write(b"%d" % number)
    assert os.listdir(replaced.folder) == []


def test_orders_are_carried_out_if_the_folder_was_removed(
    replaced: ReplacedFile, tmp_path: Path
) -> None:
    path, other = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    for number in range(2):
        carry_out(Order(path, "run", Raw(b'{"n":%d}' % number)), replaced.spares)
    replaced.wait()
    shutil.rmtree(replaced.folder)
    for number in range(2, 4):
        carry_out(Order(path, "run", Raw(b'{"n":%d}' % number)), replaced.spares)
        assert parse_record(Path(path).read_bytes(), "run", path)["n"] == number
    carry_out(Order(other, "run", Raw(b'{"n":%d}' % 4), leaving=path), replaced.spares)
    assert os.listdir(tmp_path) == ["b.json"]


def test_clear_removes_all_spare_files(replaced: ReplacedFile) -> None:
    replaced.write(b"1")
    replaced.write(b"2")
    clear(replaced.folder)
    assert not replaced.folder.exists()
    assert replaced.file.read_bytes() == b"2"
    clear(replaced.folder)
