"""Archives with any content are refused, or their runs work like those that were made here."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.maintenance.transfer import Imported, export_runs, import_runs
from jupyter_pdflow.server.links.tokens import IMPORTED_KEYS, write_imported_keys
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED, DataDir
from tests.maintenance.open_services import ALL, Log, decide_all, open_services, read_all
from tests.maintenance.sample_data import make_format_1
from tests.maintenance.server_data import ServerData, damaged

Files = dict[str, bytes]
FUZZ = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="session")
def archive(server_data: ServerData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export all that real servers have left."""
    return export(server_data, tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def archives(
    archive: Path, server_data: ServerData, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Return archives of all formats, the newest one first, which is that of `archive`."""

    def older(data: DataDir) -> None:
        for run_id in data.run_ids():
            make_format_1(data, data.read_run(run_id))

    def without_files(data: DataDir) -> None:
        older(data)
        shutil.rmtree(data.folders.path)
        write_imported_keys(data.path / IMPORTED_KEYS, {"k" * 40: set(server_data.last)})

    def without_keys(data: DataDir) -> None:
        without_files(data)
        (data.path / IMPORTED_KEYS).unlink()

    changes = (older, without_files, without_keys)
    others = [
        export(server_data, tmp_path_factory.mktemp(change.__name__), change) for change in changes
    ]
    return [archive, *others]


def export(
    server_data: ServerData, folder: Path, change: Callable[[DataDir], None] = lambda _: None
) -> Path:
    data = DataDir(Path(shutil.copytree(server_data.path, folder / "data")))
    change(data)
    export_runs(data, folder / "runs.zip", [])
    return folder / "runs.zip"


def read(archive: Path) -> Files:
    with zipfile.ZipFile(archive) as found:
        return {name: found.read(name) for name in found.namelist()}


def write(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            made.writestr(info, content)
    return path


def everything(folder: Path) -> dict[str, bytes | None]:
    """Read all files below a folder, and list what else is there."""
    paths = [path for path in folder.rglob("*") if "lock" not in path.name]
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


@FUZZ
@given(data=st.data())
def test_any_value_at_any_place_of_any_member(archives: list[Path], data: st.DataObject) -> None:
    files = read(data.draw(st.sampled_from(archives), "archive"))
    folders = sorted({name.rpartition("/")[0] or name for name in files})
    folder = data.draw(st.sampled_from(folders), "folder")
    names = [name for name in files if name == folder or name.rpartition("/")[0] == folder]
    name = data.draw(st.sampled_from(names), "member")
    files[name] = data.draw(damaged(files[name]), "content")
    check(files, start=data.draw(st.booleans(), "start"))


NAMES = st.text(max_size=12) | st.sampled_from(
    [
        "..",
        "active",
        "finished",
        "workflows",
        "mail",
        "outputs",
        "a.json",
        "a.jsonl",
        "A.JSON",
        "lock",
        "x\0y",
    ]
)


@FUZZ
@given(data=st.data(), parts=st.lists(NAMES, min_size=1, max_size=4))
@example(None, ["..", "..", "pwn.json"])
@example(None, ["", "tmp", "pwn.json"])
@example(None, ["link_keys"])
@example(None, ["active", "..", "..", "x.json"])
@example(None, ["finished", "..", "..", "x.jsonl"])
@example(None, ["exported", "active", "x.json"])
def test_any_name_of_a_member(archive: Path, data: st.DataObject | None, parts: list[str]) -> None:
    files = read(archive)
    name = data.draw(st.sampled_from(sorted(files))) if data else "manifest.json"
    content = files.pop(name) if data and data.draw(st.booleans()) else files[name]
    files["/".join(parts).encode("utf-8", "replace").decode()] = content
    check(files, start=True)


@FUZZ
@given(data=st.data())
def test_any_byte_of_an_archive(archive: Path, data: st.DataObject) -> None:
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # The end has the names and sizes of all members.
        back = data.draw(st.integers(1, len(content)) | st.integers(1, 4000))
        content[-back] = data.draw(st.integers(0, 255))
    check(bytes(content), start=True)


def check(given: Files | bytes, *, start: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target = folder / "runs.zip", folder / "home" / "data"
        target.mkdir(parents=True)
        if isinstance(given, bytes):
            source.write_bytes(given)
        else:
            write(source, given)
        before = everything(folder)
        done = import_or_refuse(target, source, start=start)
        if done is None:
            assert everything(folder) == before
        else:
            asyncio.run(open_and_check(target, done))
            outside = {path for path in everything(folder) if not path.startswith(f"{target}/")}
            assert outside == set(before)


def import_or_refuse(target: Path, source: Path, *, start: bool) -> Imported | None:
    try:
        return import_runs(DataDir(target), source, start=start)
    except PDFlowError as error:
        message = str(error)
    assert message.endswith("; nothing was imported.")
    assert message.isprintable()
    return None


async def open_and_check(target: Path, done: Imported) -> None:
    with Log() as log:
        await open_and_decide(target, done)
    said = "\n".join(log.lines)
    assert "Traceback" not in said
    assert "set aside" not in said


async def open_and_decide(target: Path, done: Imported) -> None:
    async with open_services(target) as services:
        runs = await services.service.runs(ALL)
        assert sorted(run.id for run in runs) == sorted(done.new)
        await read_all(services)
        await decide_all(services)
        await read_all(services)


@pytest.mark.parametrize("version", [4, 3, 2, 1])
def test_an_archive_as_it_is(version: int, archives: list[Path]) -> None:
    archive = archives[4 - version]
    assert json.loads(read(archive)["manifest.json"])["archive"] == version
    check(read(archive), start=True)
    check(read(archive), start=False)
    assert os.listdir(archive.parent / "data" / FINISHED.name)
    assert not os.listdir(archive.parent / "data" / ACTIVE.name)
