"""Files that are appended: the last whole line counts, the history is that of all lines."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinydb import TinyDB

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.stores import HISTORY_KEPT
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.appended import (
    AppendedFile,
    AppendedJSONStorage,
    history_of,
    read_tail,
)


def line(number: int, size: int = 0) -> bytes:
    tables = {
        "run": {"1": {"n": number, "text": "x" * size}},
        "history": {str(number): {"event": "Begin"}},
    }
    return orjson.dumps(tables)


def number_of(path: Path) -> Any:
    return orjson.loads(read_tail(str(path)).line)["run"]["1"]["n"]


def append(path: Path, *lines: bytes) -> None:
    with AppendedFile(str(path)) as file:
        for each in lines:
            file.append(each)
            file.sync(set())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


def test_the_last_line_counts(path: Path) -> None:
    append(path, line(1), line(2))
    assert number_of(path) == 2
    append(path, line(3))
    assert number_of(path) == 3
    assert path.read_bytes().count(b"\n") == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_tinydb_reads_and_writes_it(path: Path) -> None:
    with TinyDB(path, storage=AppendedJSONStorage) as db:
        db.table("run").insert({"n": 1})
        db.table("run").update({"n": 2})
    assert number_of(path) == 2
    with TinyDB(path, storage=AppendedJSONStorage) as db:
        assert db.table("run").get(doc_id=1) == {"n": 2}


@given(cut=st.integers(min_value=0, max_value=200), size=st.integers(0, 200_000))
def test_a_torn_line_is_ignored_and_cut_off(
    tmp_path_factory: pytest.TempPathFactory, cut: int, size: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "r.jsonl"
    append(path, line(1, size))
    torn = line(2, size)[: -1 - cut]
    with path.open("ab") as file:
        file.write(torn)
    assert number_of(path) == 1
    append(path, line(3))
    assert number_of(path) == 3
    assert path.read_bytes() == line(1, size) + b"\n" + line(3) + b"\n"


def test_a_file_without_a_whole_line(path: Path) -> None:
    path.write_bytes(line(1))
    assert read_tail(str(path)) == (b"", 0)
    with pytest.raises(StoredFileError, match=r"r\.jsonl has no whole line"):
        AppendedJSONStorage(path).read()
    append(path, line(2))
    assert path.read_bytes() == line(2) + b"\n"


def test_a_whole_line_that_is_wrong_is_not_passed_over(path: Path) -> None:
    append(path, line(1), b'{"run":{"1":')
    with pytest.raises(StoredFileError, match="is not JSON"):
        AppendedJSONStorage(path).read()


def test_what_is_no_file(path: Path) -> None:
    assert AppendedJSONStorage(path).read() is None
    os.mkfifo(path)
    with pytest.raises(OSError, match="is not a file"):
        read_tail(str(path))


def test_the_history_is_that_of_all_lines(path: Path) -> None:
    append(path, line(1), b"damaged", line(2), line(3))
    assert list(history_of(path.read_bytes())) == [1, 2, 3]


def test_a_large_file_is_replaced_by_its_newest_state(path: Path) -> None:
    with AppendedFile(str(path)) as file:
        for number in range(1, 2 * HISTORY_KEPT):
            file.append(line(number, 1_000))
        assert file.has_grown_large
        file.compact()
    assert path.read_bytes().count(b"\n") == 1
    assert number_of(path) == 2 * HISTORY_KEPT - 1
    history = list(history_of(path.read_bytes()))
    assert history == list(range(HISTORY_KEPT, 2 * HISTORY_KEPT))
    with AppendedFile(str(path)) as file:
        file.append(line(5))
        assert not file.has_grown_large


def test_a_long_history_alone_makes_no_file_large(path: Path) -> None:
    history = {str(number): {"note": "x" * 400} for number in range(1, HISTORY_KEPT + 1)}
    append(path, orjson.dumps({"run": {"1": {"n": 0}}, "history": history}))
    assert path.stat().st_size > 4 * appended.LARGE
    replaced = 0
    for number in range(HISTORY_KEPT + 1, HISTORY_KEPT + 2_001):
        with AppendedFile(str(path)) as file:
            file.append(line(number, 1_000))
            if file.has_grown_large:
                file.compact()
                replaced += 1
    assert 1 <= replaced < 50
    kept = list(history_of(path.read_bytes()))
    assert kept == list(range(2_001, HISTORY_KEPT + 2_001))


@pytest.mark.parametrize("size", [100, 20_000])
def test_a_small_file_is_not_replaced(path: Path, size: int) -> None:
    with AppendedFile(str(path)) as file:
        for number in range(3):
            file.append(line(number, size))
        assert not file.has_grown_large


def test_what_can_not_be_synced_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with AppendedFile(str(path)) as file:
        file.append(line(1))
        file.sync(set())
        file.append(line(2))
        with monkeypatch.context() as patched:
            patched.setattr(appended, "sync_data", fail)
            with pytest.raises(OSError, match="Input/output"):
                file.sync(set())
        assert number_of(path) == 1
        file.append(line(3))
        file.sync(set())
    assert path.read_bytes() == line(1) + b"\n" + line(3) + b"\n"


def test_what_can_not_be_written_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def fail(fd: int, data: bytes, offset: int) -> int:
        if offset > 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(fd, data[:7], offset)

    for before in (b"", line(1) + b"\n"):
        if before:
            path.write_bytes(before)
        with monkeypatch.context() as patched, AppendedFile(str(path)) as file:
            patched.setattr(os, "pwrite", fail)
            with pytest.raises(OSError, match="No space"):
                file.append(line(2))
        assert (path.read_bytes() if path.exists() else b"") == before
    append(path, line(3))
    assert path.read_bytes() == line(1) + b"\n" + line(3) + b"\n"


def test_a_new_file_that_can_not_be_synced_is_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for name in ("sync_data", "sync_directory"):
        with monkeypatch.context() as patched, AppendedFile(str(path)) as file:
            patched.setattr(appended, name, fail)
            file.append(line(1))
            with pytest.raises(OSError, match="Input/output"):
                file.sync(set())
        assert not path.exists()


def test_the_first_error_is_raised_if_nothing_works(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, error: int = errno.EIO) -> None:
        raise OSError(error, os.strerror(error))

    append(path, line(1))
    with monkeypatch.context() as patched, AppendedFile(str(path)) as file:
        patched.setattr(appended, "sync_data", fail)
        patched.setattr(os, "ftruncate", lambda fd, size: fail(fd, errno.EROFS))
        file.append(line(2))
        with pytest.raises(OSError, match="Input/output"):
            file.sync(set())
    append(path, line(3))
    assert number_of(path) == 3


def test_a_file_that_can_not_be_read_is_not_left_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, line(1))

    def fail(fd: int, size: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        with pytest.raises(OSError, match="Input/output"):
            AppendedFile(str(path))
    assert len(os.listdir("/proc/self/fd")) == before
