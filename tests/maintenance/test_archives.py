"""Archives that no export has written are refused in one sentence, and nothing is imported."""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.exceptions import ArchiveError
from jupyter_pdflow.maintenance.archive import ArchiveLimits
from jupyter_pdflow.maintenance.transfer import export_runs, import_runs
from jupyter_pdflow.stores.tinydb.layout import DataDir
from tests.maintenance.sample_data import SampleData, make_format_1

Files = dict[str, bytes]
Change = Callable[[Files], object]


@pytest.fixture(params=["histories", "format 1"])
def files(sample: SampleData, tmp_path: Path, request: pytest.FixtureRequest) -> Files:
    """Return the files of an archive that an export has made, of runs with histories or without."""
    if request.param == "format 1":
        make_format_1(sample.data, sample.paused)
        make_format_1(sample.data, sample.ended)
    export_runs(sample.data, tmp_path / "right.zip", [])
    with zipfile.ZipFile(tmp_path / "right.zip") as found:
        return {name: found.read(name) for name in found.namelist()}


@pytest.fixture
def target(tmp_path: Path) -> DataDir:
    (tmp_path / "target").mkdir()
    return DataDir(tmp_path / "target")


def write(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def refuse(target: DataDir, path: Path, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(ArchiveError) as refused:
        import_runs(target, path, limits=limits)
    assert [name for name in os.listdir(target.path) if not name.startswith("lock")] == []
    message = str(refused.value)
    assert message.startswith(str(path))
    assert message.endswith("; nothing was imported.")
    return message


def find(files: Files, folder: str) -> str:
    return next(name for name in files if name.startswith(f"{folder}/"))


def edit(files: Files, folder: str, table: str, **fields: Any) -> None:
    name = find(files, folder)
    content = json.loads(files[name])
    content[table]["1"].update(fields)
    files[name] = json.dumps(content).encode() + b"\n"


def rename(files: Files, folder: str, to: str) -> None:
    """Rename a file; a name that ends with ``.json`` ends as the old one."""
    old = find(files, folder)
    files[to.replace(".json", Path(old).suffix)] = files.pop(old)


def in_two_files(files: Files, folder: str) -> None:
    path = Path(find(files, folder))
    for suffix in (".json", ".jsonl"):
        files[str(path.with_suffix(suffix))] = files[str(path)]


def drop(files: Files, folder: str) -> None:
    del files[find(files, folder)]


def deep(files: Files, levels: int) -> None:
    edit(files, "active", "run", event=0)
    name, nested = find(files, "active"), b"[" * levels + b"]" * levels
    files[name] = files[name].replace(b'"event": 0', b'"event": ' + nested)


def file_at(files: Files, path: str) -> str:
    """Add a file to a run, or an empty folder."""
    name = "/".join(find(files, "files").split("/")[:2]) + f"/{path}"
    files[name] = b""
    return name


def version(files: Files, **fields: Any) -> None:
    content = json.loads(files["workflows/flow.json"])
    (known,) = content["workflow"]["1"]["versions"].values()
    known.update(fields)
    files["workflows/flow.json"] = json.dumps(content).encode()


def rename_run(files: Files, run_id: str) -> None:
    """Give a run another id in all its files."""
    old = Path(find(files, "active")).stem
    for name in [name for name in files if old in name]:
        files[name.replace(old, run_id)] = files.pop(name).replace(old.encode(), run_id.encode())


ULID = "01M828N3F2GEN1A6NYMWAP04FB"
PWN = {
    "id": "../../../pwn", "run_id": "x", "step": "a", "created_at": "2026-01-01T00:00:00Z",
    "mail": {"subject": "s"},
}  # fmt: skip
CHANGES: dict[str, Change] = {
    "no manifest": lambda f: f.pop("manifest.json"),
    "foreign manifest": lambda f: f.update({"manifest.json": b"[]"}),
    "a name that climbs": lambda f: rename(f, "active", f"active/../../{ULID}.json"),
    "an absolute name": lambda f: rename(f, "active", f"/tmp/{ULID}.json"),
    "a name with a backslash": lambda f: rename(f, "active", f"active\\{ULID}.json"),
    "another kind of file": lambda f: f.update({"inputs.toml": b""}),
    "the key file itself": lambda f: f.update({"link_keys": b"x" * 40}),
    "the id of no run": lambda f: rename(f, "active", "active/a.json"),
    "a line break in a name": lambda f: rename(f, "active", f"active/{ULID}.json\n"),
    "no JSON": lambda f: f.update({find(f, "active"): b"{"}),
    "a line that is no JSON": lambda f: f.update(
        {find(f, "active"): f[find(f, "active")] + b"{\n"}
    ),
    "half a run": lambda f: f.update({find(f, "active"): f[find(f, "active")][:100]}),
    "half a finished run": lambda f: f.update({find(f, "finished"): f[find(f, "finished")][:100]}),
    "a run in two files": lambda f: in_two_files(f, "active"),
    "a finished run in two files": lambda f: in_two_files(f, "finished"),
    "not UTF-8": lambda f: f.update({find(f, "active"): b"\xff"}),
    "an empty file": lambda f: f.update({find(f, "finished"): b""}),
    "deep JSON": lambda f: deep(f, 300),
    "deeper JSON": lambda f: deep(f, 990),
    "the deepest JSON": lambda f: deep(f, 100_000),
    "another run's id": lambda f: rename(f, "active", f"active/{ULID}.json"),
    "a wrong type": lambda f: edit(f, "active", "run", steps="many"),
    "an unknown status": lambda f: edit(f, "active", "run", status="asleep"),
    "a step that is not there": lambda f: edit(f, "active", "run", position=-1),
    "no steps": lambda f: edit(f, "active", "run", steps=[]),
    "a pause that is none": lambda f: edit(f, "active", "run", pause=None),
    "a time without a zone": lambda f: edit(f, "active", "run", created_at="2026-01-01T00:00:00"),
    "an active run that has ended": lambda f: edit(f, "active", "run", status="failed", pause=None),
    "a finished run that has not": lambda f: edit(f, "finished", "run", status="queued"),
    "a run twice": lambda f: f.update(
        {find(f, "active").replace("active", "finished"): f[find(f, "active")]}
    ),
    "a newer format": lambda f: edit(f, "active", "run", format=99),
    "a mail of an outbox that climbs": lambda f: edit(f, "active", "run", outbox=[PWN]),
    "a mail of an outbox that is another run's": lambda f: edit(
        f, "active", "run", outbox=[{**PWN, "id": f"{ULID}-1-0-0"}]
    ),
    "a number beyond all": lambda f: edit(f, "active", "run", execution=10**40),
    "a time beyond all": lambda f: edit(f, "finished", "run", ended_at="9999-12-31T23:59:59Z"),
    "a workflow's id that climbs": lambda f: edit(f, "active", "run", workflow_id="../flow"),
    "steps of no name": lambda f: edit(f, "finished", "run", steps=[{"name": "../a"}]),
    "an id after all others": lambda f: rename_run(f, "7" + "Z" * 25),
    "a kernel with two lines": lambda f: version(
        f, source={"kernel_name": "a\nb", "setup": [], "steps": []}
    ),
    "outputs of another id": lambda f: edit(f, "outputs", "outputs", id="../../pwn"),
    "an email of another id": lambda f: edit(f, "mail/done", "mail", id="../../pwn"),
    "a message that is damaged": lambda f: f.update({"mail/../pwn.eml": b""}),
    "a name in other letters": lambda f: rename(f, "active", f"active/{ULID.lower()}.json"),
    "a name in wide letters": lambda f: rename(f, "active", f"active/{ULID[:-1]}\uff22.json"),
    "keys of imported runs that are none": lambda f: f.update({"imported_keys.json": b"[]"}),
    "a short key of imported runs": lambda f: f.update({"imported_keys.json": b'{"x": []}'}),
    "a file whose name climbs": lambda f: file_at(f, "../pwn"),
    "a file whose name climbs in between": lambda f: file_at(f, "a/../../../pwn"),
    "a file of an absolute name": lambda f: file_at(f, "/etc/pwn"),
    "a file with a backslash": lambda f: file_at(f, "..\\pwn"),
    "a file of two lines": lambda f: file_at(f, "a\nb"),
    "a file of a long name": lambda f: file_at(f, "x" * 256),
    "a file of a long path": lambda f: file_at(f, "x/" * 600 + "x"),
    "a file above the runs": lambda f: rename(f, "files", "files/pwn"),
    "the mark of all files": lambda f: rename(f, "files", "files/.id"),
    "a file that an export set aside": lambda f: rename(f, "files", f"files/exported/{ULID}/x"),
    "a file of another run": lambda f: rename(f, "files", f"files/{ULID}/x"),
    "a file of no run": lambda f: rename(f, "files", "files/abc/x"),
    "two files of one name by case": lambda f: (file_at(f, "Model"), file_at(f, "model")),
    "two files of one name by form": lambda f: (file_at(f, "\u00fc"), file_at(f, "u\u0308")),
    "a file below a file": lambda f: (file_at(f, "a"), file_at(f, "a/b/c")),
    "a folder in the place of a file": lambda f: (file_at(f, "a"), file_at(f, "A/")),
    "a folder with a content": lambda f: f.update({file_at(f, "a/"): b"x"}),
    "no workflow": lambda f: drop(f, "workflows"),
    "another version": lambda f: edit(f, "active", "run", version="abc"),
    "a newest version that is not there": lambda f: edit(f, "workflows", "workflow", newest="x"),
    "other code than the version says": lambda f: version(
        f, source={"kernel_name": "python3", "setup": ["evil()"], "steps": []}
    ),
    "a notebook above": lambda f: version(f, path="../flow.ipynb"),
    "a notebook anywhere": lambda f: version(f, path="/etc/flow.ipynb"),
    "outputs of another run": lambda f: rename(f, "outputs", f"outputs/{ULID}.json"),
    "outputs that are none": lambda f: edit(f, "outputs", "outputs", shown=[{"step": 1}]),
    "a mail of another run": lambda f: rename(f, "mail/done", f"mail/done/{ULID}-1-0-0.json"),
    "an email that names another": lambda f: edit(f, "mail/done", "mail", run_id=ULID),
    "a done email to be delivered": lambda f: edit(f, "mail/done", "mail", status="queued"),
    "a message without a mail": lambda f: drop(f, "mail/done"),
    "keys that are no list": lambda f: f.update({"link_keys.json": b'{"a": 1}'}),
    "an invalid key": lambda f: f.update({"link_keys.json": b"[1]"}),
    "a short key": lambda f: f.update({"link_keys.json": b'["short"]'}),
    "a key of two lines": lambda f: f.update(
        {"link_keys.json": json.dumps(["a" * 40 + "\n" + "b" * 40]).encode()}
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_no_export_writes_is_refused(
    what: str, files: Files, target: DataDir, tmp_path: Path
) -> None:
    right = dict(files)
    CHANGES[what](files)
    assert files != right
    refuse(target, write(tmp_path / "wrong.zip", files))
    import_runs(target, write(tmp_path / "right again.zip", right))


def test_a_newer_archive(files: Files, target: DataDir, tmp_path: Path) -> None:
    files["manifest.json"] = b'{"archive": 5}'
    assert "made by a newer jupyter_pdflow" in refuse(target, write(tmp_path / "a.zip", files))


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"text", b"\0" * 1000])
def test_no_archive_at_all(content: bytes, target: DataDir, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert "can't be read as an archive" in refuse(target, path)


def test_an_archive_that_was_cut_off_or_damaged(
    files: Files, target: DataDir, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.zip", files)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as found:
        start = found.getinfo(find(files, "active")).header_offset
    for damaged in (
        content[: len(content) // 2],
        content[: start + 90] + b"\0\0\0\0\0\0" + content[start + 96 :],
    ):
        path.write_bytes(damaged)
        refuse(target, path)


def test_two_files_of_the_same_name(files: Files, target: DataDir, tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", files)
    name = find(files, "active")
    with zipfile.ZipFile(path, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr(name, files[name])
    assert "two files of the same name" in refuse(target, path)


def test_a_symbolic_link_is_a_file_that_is_no_good(
    files: Files, target: DataDir, tmp_path: Path
) -> None:
    name = find(files, "active")
    del files[name]
    path = write(tmp_path / "a.zip", files)
    with zipfile.ZipFile(path, "a") as made:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc/passwd")
    words = "has no whole line" if name.endswith(".jsonl") else "is not JSON"
    assert words in refuse(target, path)


def test_a_symbolic_link_among_the_files(files: Files, target: DataDir, tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", files)
    with zipfile.ZipFile(path, "a") as made:
        info = zipfile.ZipInfo(file_at(files, "link"))
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc/passwd")
    assert "which no export writes" in refuse(target, path)


def test_a_file_that_is_damaged(files: Files, target: DataDir, tmp_path: Path) -> None:
    name = file_at(files, "a")
    files[name] = b"content"
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        for each, content in files.items():
            made.writestr(each, content)
    path.write_bytes(path.read_bytes().replace(b"content", b"contend"))
    assert f"is damaged at {name}" in refuse(target, path)


def test_more_keys_than_there_can_be(files: Files, target: DataDir, tmp_path: Path) -> None:
    files["link_keys.json"] = b"[" + b" " * (17 * 2**20) + b"]"
    assert "too many to be one of ours" in refuse(target, write(tmp_path / "a.zip", files))


def test_a_bomb(files: Files, target: DataDir, tmp_path: Path) -> None:
    """300 MB of spaces are packed into 300 KB."""
    files[find(files, "outputs")] = b" " * (300 * 2**20)
    path = write(tmp_path / "a.zip", files)
    assert path.stat().st_size < 2**20
    assert "too many to be one of ours" in refuse(target, path)


def test_a_bomb_that_lies_about_its_size(files: Files, target: DataDir, tmp_path: Path) -> None:
    size = 8 * 2**20
    files[find(files, "outputs")] = b" " * size
    path = write(tmp_path / "a.zip", files)
    content = path.read_bytes()
    assert content.count(struct.pack("<L", size)) == 2
    path.write_bytes(content.replace(struct.pack("<L", size), struct.pack("<L", 100)))
    assert "is damaged at outputs/" in refuse(target, path)


def test_more_than_the_disk_holds(files: Files, target: DataDir, tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", files)
    for limits in (ArchiveLimits(records=1000, total=10**9), ArchiveLimits(10**9, total=1000)):
        assert "more than the disk has room for" in refuse(target, path, limits)


def test_another_way_of_packing(files: Files, target: DataDir, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as made:
        for name, content in files.items():
            made.writestr(name, content)
    assert "a form that no export writes" in refuse(target, tmp_path / "a.zip")
