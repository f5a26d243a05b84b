from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec import Raw

from jupyter_pdflow.stores.tinydb import storage as spares
from jupyter_pdflow.stores.tinydb.storage import Spares, clear, parse_record, replace_file
from jupyter_pdflow.stores.tinydb.writer import Order, carry_out


class Place:
    """A file that is replaced, spares beside it, and a clock."""

    def __init__(self, path: Path) -> None:
        self.folder, self.file = path / "spare", path / "r.json"
        self.spares = Spares(self.folder)
        self.now = 0.0

    def write(self, content: bytes) -> int:
        replace_file(self.file, content, self.spares)
        assert self.file.read_bytes() == content
        return self.file.stat().st_ino

    def rest(self) -> None:
        self.now += spares.REST_SECONDS + 0.1


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path)
    monkeypatch.setattr(spares.time, "monotonic", lambda: found.now)
    return found


def test_a_replaced_file_is_written_again(place: Place) -> None:
    first, second = place.write(b"1" * 100), place.write(b"2")
    place.rest()
    assert place.write(b"3" * 50) == first
    place.rest()
    assert place.write(b"4") == second


def test_not_before_it_has_rested(place: Place) -> None:
    place.write(b"first")
    with place.file.open("rb") as opened:
        for _ in range(3):
            place.write(b"later")
        assert opened.read() == b"first"


def test_not_one_that_has_another_name(place: Place, tmp_path: Path) -> None:
    place.write(b"first")
    backup = tmp_path / "backup.json"
    backup.hardlink_to(place.file)
    for content in (b"second", b"third", b"fourth"):
        place.rest()
        place.write(content)
    assert backup.read_bytes() == b"first"


def test_not_one_that_others_may_read(place: Place) -> None:
    place.write(b"first")
    place.file.chmod(0o644)
    for _ in range(4):
        place.rest()
        place.write(b"later")
        assert place.file.stat().st_mode & 0o777 == 0o600


def test_not_a_large_one(place: Place) -> None:
    place.write(b"x" * (spares.LARGEST + 1))
    place.write(b"y")
    assert os.listdir(place.folder) == []


def test_not_more_than_enough(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "MOST", 2)
    for _ in range(5):
        place.write(b"x")
    assert len(os.listdir(place.folder)) == 2
    assert not place.spares.move(str(place.file))
    assert place.file.exists()


def test_a_file_that_is_not_needed_is_one(place: Place) -> None:
    first = place.write(b"1")
    assert place.spares.move(str(place.file))
    assert not place.file.exists()
    place.rest()
    assert place.write(b"2") == first


def test_a_failed_write_leaves_the_old_content(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(b"1")
    place.write(b"2")
    place.rest()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            replace_file(place.file, b"3", place.spares)
    assert place.file.read_bytes() == b"2"
    assert os.listdir(place.folder) == []
    place.write(b"4")


def test_a_disk_that_knows_no_second_names(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for number in range(3):
        place.rest()
        place.write(b"%d" % number)
    assert os.listdir(place.folder) == []


def test_orders_are_carried_out_without_their_folder_too(place: Place, tmp_path: Path) -> None:
    path, other = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    for number in range(2):
        carry_out(Order(path, "run", Raw(b'{"n":%d}' % number)), place.spares)
    place.rest()
    shutil.rmtree(place.folder)
    for number in range(2, 4):
        carry_out(Order(path, "run", Raw(b'{"n":%d}' % number)), place.spares)
        assert parse_record(Path(path).read_bytes(), "run", path)["n"] == number
    carry_out(Order(other, "run", Raw(b'{"n":%d}' % 4), leaving=path), place.spares)
    assert os.listdir(tmp_path) == ["b.json"]


def test_clearing_leaves_nothing(place: Place) -> None:
    place.write(b"1")
    place.write(b"2")
    clear(place.folder)
    assert not place.folder.exists()
    assert place.file.read_bytes() == b"2"
    clear(place.folder)
