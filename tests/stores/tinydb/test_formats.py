"""Files of older formats are read.

``files/format-1`` is the data directory of a server of version 0.1. Do not change it: when a record
changes its shape, raise `FORMAT`, add a migration, and these tests still read the old files.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.server.links.tokens import Links
from jupyter_pdflow.stores.tinydb import storage as formats
from jupyter_pdflow.stores.tinydb.layout import EMAIL
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.storage import parse_record, write_record
from jupyter_pdflow.stores.tinydb.store import TinyDBStore

FILES = Path(__file__).parent / "files" / "format-1"
PAUSED, ENDED = "01M828N3F2GEN1A6NYMWAP04FB", "01M828N4KMDKJRF3KCM45RTRRM"
TOKEN = (
    "WyIwMU04MjhOM0YyR0VOMUE2TllNV0FQMDRGQiIsImFzayIsMV0"
    ".cCUpEmuNH-llUyt95HwqjI82SSXTG_8Lm8lG7DgzoTE"
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES, tmp_path / "data"))


def test_format_1_is_read(data_dir: Path) -> None:
    store = TinyDBStore(data_dir)
    (paused,) = store.active()
    assert (paused.id, paused.status, paused.event) == (PAUSED, "paused", {"amount": 12})
    assert paused.pause is not None
    assert f"{paused.pause.deadline:%Y-%m-%d %H:%M:%S %Z}" == "2027-11-22 18:35:20 UTC"
    assert store.workflow(paused.workflow_id, paused.version).step_names == ["ask", "poll"]
    ended = store.get(ENDED)
    assert (ended.status, ended.steps[1].runs, ended.usage.credits) == ("succeeded", 4, 5)
    assert ended.steps[0].exports["$resume_data"]["body"] == {"ok": True}
    assert store.outputs(ENDED)["ask"][0]["text"] == "asked\n"
    emails = Records(data_dir / "mail" / "done", EMAIL)
    assert [email.run_id for email in emails.all()] == [PAUSED, ENDED]
    links = Links(data_dir / "link_keys", lambda: "http://elsewhere/")
    assert links.read("resume", TOKEN) == (PAUSED, "ask", 1)


def with_two_more_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    def to_2(table: str, fields: formats.Fields) -> formats.Fields:
        if table != "run":
            return fields
        return {name: value for name, value in fields.items() if name != "event"} | {
            "trigger": {"event": fields["event"]}
        }

    def to_3(table: str, fields: formats.Fields) -> formats.Fields:
        return {**fields, "seen": [fields["format"], table]}

    assert formats.FORMAT == 1, "there are migrations now: test those, and these after them"
    monkeypatch.setattr(formats, "FORMAT", 3)
    monkeypatch.setattr(formats, "MIGRATIONS", {1: to_2, 2: to_3})


def test_an_old_file_is_migrated_when_it_is_read_and_at_its_next_write(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_two_more_formats(monkeypatch)
    path = data_dir / "active" / f"{PAUSED}.json"
    before = path.read_bytes()
    fields = parse_record(path.read_bytes(), "run", path.name)
    assert (fields["format"], fields["trigger"]) == (3, {"event": {"amount": 12}})
    assert fields["seen"] == [2, "run"]
    assert "event" not in fields
    assert path.read_bytes() == before
    write_record(path, json.dumps({"id": PAUSED, "trigger": None}).encode(), "run")
    stored = json.loads(path.read_bytes())["run"]["1"]
    assert stored == {"format": 3, "id": PAUSED, "trigger": None}
    assert parse_record(path.read_bytes(), "run", path.name) == stored


@pytest.mark.parametrize(
    ("version", "error"),
    [
        (4, NewerFormatError),
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
