"""Files of older formats are read.

``files/format-1`` is the data directory of a server of version 0.1. Do not change it: when a record
changes its shape, raise `FORMAT`, add a migration, and these tests still read the old files. In
format 2 the files of runs are appended, and their names end with ``.jsonl``.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from tinydb import TinyDB

from jupyter_pdflow import models
from jupyter_pdflow.exceptions import NewerFormatError, NotFoundError, StoredFileError
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.transitions import apply
from jupyter_pdflow.server.api.models import run_item
from jupyter_pdflow.server.links.tokens import Links
from jupyter_pdflow.stores import RunQuery, RunSummary
from jupyter_pdflow.stores.tinydb import storage as formats
from jupyter_pdflow.stores.tinydb.appended import AppendedJSONStorage
from jupyter_pdflow.stores.tinydb.storage import FORMAT, parse_record, write_record
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.rules.support import resume_of
from tests.stores.tinydb.conftest import OpenStore
from tests.stores.tinydb.support import commit

FILES = Path(__file__).parent / "files" / "format-1"
PAUSED, ENDED = "01M828N3F2GEN1A6NYMWAP04FB", "01M828N4KMDKJRF3KCM45RTRRM"
OLD_ACTIVE, NEW_ACTIVE = f"active/{PAUSED}.json", f"active/{PAUSED}.jsonl"
OLD_FINISHED = f"finished/{ENDED}.json"
NOW = datetime(2026, 12, 1, tzinfo=UTC)
ENTRY = HistoryEntry(at=NOW, event="resume", step="ask", execution=1, attempt=1, via="link")
TOKEN = (
    "WyIwMU04MjhOM0YyR0VOMUE2TllNV0FQMDRGQiIsImFzayIsMV0"
    ".cCUpEmuNH-llUyt95HwqjI82SSXTG_8Lm8lG7DgzoTE"
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES, tmp_path / "data"))


async def test_format_1_is_read(data_dir: Path, open_store: OpenStore) -> None:
    store = await open_store(data_dir)
    paused = await store.get(PAUSED)
    assert (paused.id, paused.status, paused.event) == (PAUSED, "paused", {"amount": 12})
    assert paused.pause is not None
    assert f"{paused.pause.deadline:%Y-%m-%d %H:%M:%S %Z}" == "2027-11-22 18:35:20 UTC"
    assert await store.next_deadline() == paused.pause.deadline
    workflow = await store.workflow(paused.workflow_id, paused.version)
    assert workflow.step_names == ["ask", "poll"]
    ended = await store.get(ENDED)
    assert (ended.status, ended.steps[1].runs, ended.usage.credits) == ("succeeded", 4, 5)
    assert ended.steps[0].exports["$resume_data"]["body"] == {"ok": True}
    assert (ended.title, ended.started_by, ended.steps[1].attempts) == (None, None, 0)
    assert (await store.outputs(ENDED)).by_step()["ask"][0]["text"] == "asked\n"
    assert [email.run_id for email in await store.emails(10)] == [ENDED, PAUSED]
    links = Links.from_files(data_dir / "link_keys", lambda: "http://elsewhere/")
    assert links.read("resume", TOKEN) == (PAUSED, "ask", 1, None)


def run_files(data_dir: Path) -> list[str]:
    """Return what is in the folders of runs, in order."""
    paths = [path for folder in ("active", "finished") for path in (data_dir / folder).iterdir()]
    return sorted(str(path.relative_to(data_dir)) for path in paths)


async def listed(store: TinyDBStore) -> dict[str, str]:
    """Return the status of all runs by id, newest first."""
    return {run.id: run.status for run in await store.list(RunQuery())}


def resumed(run: Run) -> Run:
    return apply(run, resume_of(run, ok=1), NOW).run


def shown(run: Run | RunSummary) -> models.RunItem:
    return run_item(run, lambda *_: ("resume", "cancel"), {})


async def test_runs_of_format_1_are_shown(data_dir: Path, open_store: OpenStore) -> None:
    store = await open_store(data_dir)
    ended, waiting = [shown(run) for run in await store.list(RunQuery())]
    assert waiting == shown(await store.get(PAUSED))
    assert ended == shown(await store.get(ENDED))
    assert (ended.title, ended.started_by, ended.attempt) == (None, None, 1)
    assert [decision.outcome for decision in ended.decisions] == ["resumed", *["timed_out"] * 3]
    assert ended.decisions[0].by[0].via == "link"


def canceled(run: Run) -> Run:
    return apply(run, Cancel(by="api"), NOW).run


async def test_reading_format_1_changes_nothing(data_dir: Path, open_store: OpenStore) -> None:
    store = await open_store(data_dir)
    assert list(await listed(store)) == [ENDED, PAUSED]
    assert await store.history(PAUSED) == await store.history(ENDED) == {}
    for folder in ("active", "finished"):
        for path in (FILES / folder).iterdir():
            assert (data_dir / folder / path.name).read_bytes() == path.read_bytes()
    assert run_files(data_dir) == [OLD_ACTIVE, OLD_FINISHED]


async def test_an_active_run_of_format_1_continues_in_a_new_file(
    data_dir: Path, open_store: OpenStore
) -> None:
    store = await open_store(data_dir)
    queued = await commit(store, resumed(await store.get(PAUSED)), [ENTRY])
    assert run_files(data_dir) == [NEW_ACTIVE, OLD_FINISHED]
    for again in (False, True):
        store = await open_store(data_dir) if again else store
        assert await store.get(PAUSED) == queued
        assert await store.history(PAUSED) == {1: ENTRY}
    await commit(store, canceled(queued), [ENTRY])
    assert run_files(data_dir) == [f"finished/{PAUSED}.jsonl", OLD_FINISHED]
    store = await open_store(data_dir)
    assert (await store.get(PAUSED)).status == "canceled"
    assert await store.history(PAUSED) == {1: ENTRY, 2: ENTRY}
    with TinyDB(data_dir / f"finished/{PAUSED}.jsonl", storage=AppendedJSONStorage) as db:
        document = db.table("run").get(doc_id=1)
    assert (document["format"], document["id"]) == (FORMAT, PAUSED)


async def test_a_run_of_format_1_that_ends_at_once_moves_as_a_new_file(
    data_dir: Path, open_store: OpenStore
) -> None:
    store = await open_store(data_dir)
    ended = await commit(store, canceled(await store.get(PAUSED)))
    assert run_files(data_dir) == [f"finished/{PAUSED}.jsonl", OLD_FINISHED]
    assert await store.get(PAUSED) == ended
    assert await (await open_store(data_dir)).get(PAUSED) == ended


async def test_a_finished_run_of_format_1_stays_as_it_is(
    data_dir: Path, open_store: OpenStore
) -> None:
    store = await open_store(data_dir)
    assert await listed(store) == {ENDED: "succeeded", PAUSED: "paused"}
    assert (await store.get(ENDED)).ended
    assert run_files(data_dir) == [OLD_ACTIVE, OLD_FINISHED]
    assert (data_dir / OLD_FINISHED).read_bytes() == (FILES / OLD_FINISHED).read_bytes()
    assert await store.ended_before(datetime.now(UTC) + timedelta(days=1), 10) == [ENDED]
    assert await store.delete([ENDED]) == {}
    assert run_files(data_dir) == [OLD_ACTIVE]


class Both(NamedTuple):
    """A run before and after its first write in the new format, and the content of its files."""

    before: Run
    after: Run
    old: bytes


@pytest.fixture
async def both(data_dir: Path, open_store: OpenStore) -> Both:
    """Resume the paused run; the test brings the old file back before it opens the directory."""
    old = (data_dir / OLD_ACTIVE).read_bytes()
    store = await open_store(data_dir)
    before = await store.get(PAUSED)
    return Both(before, await commit(store, resumed(before), [ENTRY]), old)


async def test_the_new_file_counts_if_a_crash_left_both(
    data_dir: Path, open_store: OpenStore, both: Both
) -> None:
    store = await open_store(data_dir, lambda: (data_dir / OLD_ACTIVE).write_bytes(both.old))
    assert await store.get(PAUSED) == both.after
    assert await store.history(PAUSED) == {1: ENTRY}
    assert await store.ready() == [PAUSED]
    assert run_files(data_dir) == [NEW_ACTIVE, OLD_FINISHED]


@pytest.mark.parametrize("length", [0, 10, 500])
async def test_the_old_file_counts_if_a_crash_cut_off_the_first_line_of_the_new_one(
    data_dir: Path, open_store: OpenStore, both: Both, length: int
) -> None:
    def cut_off() -> None:
        (data_dir / OLD_ACTIVE).write_bytes(both.old)
        (data_dir / NEW_ACTIVE).write_bytes((data_dir / NEW_ACTIVE).read_bytes()[:length])

    store = await open_store(data_dir, cut_off)
    assert await store.get(PAUSED) == both.before
    assert both.before.pause is not None
    assert await store.next_deadline() == both.before.pause.deadline
    assert await listed(store) == {ENDED: "succeeded", PAUSED: "paused"}
    assert run_files(data_dir) == [OLD_ACTIVE, OLD_FINISHED]


async def test_an_old_file_is_not_used_in_place_of_a_new_one_that_is_damaged(
    data_dir: Path, open_store: OpenStore, both: Both
) -> None:
    def damage() -> None:
        (data_dir / OLD_ACTIVE).write_bytes(both.old)
        (data_dir / NEW_ACTIVE).write_bytes(b'{"run":{"1":{"format":2,"id":"x"\n')

    store = await open_store(data_dir, damage)
    with pytest.raises(NotFoundError):
        await store.get(PAUSED)
    assert await listed(store) == {ENDED: "succeeded"}
    left = [f"{name}.unreadable" for name in (OLD_ACTIVE, NEW_ACTIVE)]
    assert run_files(data_dir) == [*left, OLD_FINISHED]


async def test_the_finished_file_counts_if_a_crash_left_the_old_one_in_active(
    data_dir: Path, open_store: OpenStore
) -> None:
    old = (data_dir / OLD_ACTIVE).read_bytes()
    store = await open_store(data_dir)
    ended = await commit(store, canceled(await store.get(PAUSED)))
    store = await open_store(data_dir, lambda: (data_dir / OLD_ACTIVE).write_bytes(old))
    assert await store.get(PAUSED) == ended
    assert await store.next_deadline() is None
    assert await listed(store) == {ENDED: "succeeded", PAUSED: "canceled"}
    assert run_files(data_dir) == [f"finished/{PAUSED}.jsonl", OLD_FINISHED]


def with_two_more_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    def to_3(table: str, fields: formats.Fields) -> formats.Fields:
        if table != "run":
            return fields
        return {name: value for name, value in fields.items() if name != "event"} | {
            "trigger": {"event": fields["event"]}
        }

    def to_4(table: str, fields: formats.Fields) -> formats.Fields:
        return {**fields, "seen": [fields["format"], table]}

    assert formats.FORMAT == 2, "there are more migrations now: these come after them"
    monkeypatch.setattr(formats, "FORMAT", 4)
    monkeypatch.setattr(formats, "MIGRATIONS", {**formats.MIGRATIONS, 2: to_3, 3: to_4})


def test_an_old_file_is_migrated_when_it_is_read_and_at_its_next_write(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_two_more_formats(monkeypatch)
    path = data_dir / "active" / f"{PAUSED}.json"
    before = path.read_bytes()
    fields = parse_record(path.read_bytes(), "run", path.name)
    assert (fields["format"], fields["trigger"]) == (4, {"event": {"amount": 12}})
    assert fields["seen"] == [3, "run"]
    assert "event" not in fields
    assert path.read_bytes() == before
    write_record(path, json.dumps({"id": PAUSED, "trigger": None}).encode(), "run")
    stored = json.loads(path.read_bytes())["run"]["1"]
    assert stored == {"format": 4, "id": PAUSED, "trigger": None}
    assert parse_record(path.read_bytes(), "run", path.name) == stored


@pytest.mark.parametrize(
    ("version", "error"),
    [
        (5, NewerFormatError),
        (0, StoredFileError),
        (-1, StoredFileError),
        (True, StoredFileError),
        ("1", StoredFileError),
        (None, StoredFileError),
        ([], StoredFileError),
        (1.5, StoredFileError),
    ],
)
def test_an_unknown_version_is_refused(
    version: object, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_two_more_formats(monkeypatch)
    with pytest.raises(error, match=r"x\.json"):
        formats.migrate({"format": version, "event": 1}, "run", "x.json")


def test_each_older_format_has_its_migration() -> None:
    assert set(formats.MIGRATIONS) == set(range(formats.OLDEST, formats.FORMAT))
