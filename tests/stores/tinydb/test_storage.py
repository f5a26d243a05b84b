"""TinyDB files are replaced atomically, and damaged files are recognised."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tinydb import TinyDB

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.stores.files import replace_file
from jupyter_pdflow.stores.tinydb import storage
from jupyter_pdflow.stores.tinydb.storage import AtomicJSONStorage, parse_record, write_record


def test_tinydb_reads_and_writes_by_the_storage(tmp_path: Path) -> None:
    path = tmp_path / "db.json"
    with TinyDB(path, storage=AtomicJSONStorage) as db:
        db.insert({"n": 1})
        db.insert({"n": 2})
    with TinyDB(path, storage=AtomicJSONStorage) as db:
        assert [document["n"] for document in db.all()] == [1, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["db.json"]


def test_a_failed_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db.json"
    replace_file(path, b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["db.json"]


def test_a_record_is_written_by_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    replace = storage.replace_file

    def count(path: Path, content: bytes) -> None:
        written.append(content)
        replace(path, content)

    monkeypatch.setattr(storage, "replace_file", count)
    for number in (1, 2):
        write_record(tmp_path / "r.json", b'{"n":%d}' % number, "run")
    assert written == [
        b'{"run":{"1":{"format":2,"n":1}}}',
        b'{"run":{"1":{"format":2,"n":2}}}',
    ]


def test_tinydb_reads_a_record(tmp_path: Path) -> None:
    write_record(tmp_path / "r.json", b'{"id":"r","n":1}', "run")
    write_record(tmp_path / "r.json", b'{"id":"r","n":2}', "run")
    with TinyDB(tmp_path / "r.json", storage=AtomicJSONStorage) as db:
        assert db.table("run").get(doc_id=1) == {"format": 2, "id": "r", "n": 2}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"run": []}',
        b'{"run": {"x": {}}}',
        b'{"run": {"1": 3}}',
        b'{"run": {"1": {}}}',
        b'{"run": {"1": {"format": "1"}}}',
        b'{"other": {"1": {"format": 1}}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(StoredFileError, match=r"r\.json"):
        parse_record(path.read_bytes(), "run", path.name)
    assert path.read_bytes() == content


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(b'{"run": {"1": {"format": 3, "id": "r"}}}')
    with pytest.raises(NewerFormatError, match="newer"):
        parse_record(path.read_bytes(), "run", path.name)
