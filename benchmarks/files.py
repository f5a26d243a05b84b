"""The files of a run in a data directory, of any version: read as JSON, or copied as they are."""

from __future__ import annotations

import os
import re
import time
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from ulid import ULID

FOLDERS = ("active", "finished")
SUFFIXES = (".jsonl", ".json")
INDEX = "index*"
DAY_SECONDS = 86_400

_DATE = re.compile(rb"(\d{4}-\d\d-\d\d)(?=T\d\d:\d\d:\d\d)")


def run_file(data_dir: Path, run_id: str) -> Path:
    """Return the file of a run.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    paths = (data_dir / f / f"{run_id}{suffix}" for f in FOLDERS for suffix in SUFFIXES)
    found = next((path for path in paths if path.exists()), None)
    if found is None:
        raise FileNotFoundError(run_id)
    return found


def newest_state(data_dir: Path, run_id: str) -> bytes:
    """Return the newest state of a run's file: its last line, if it is appended, or all of it."""
    try:
        content = run_file(data_dir, run_id).read_bytes()
    except FileNotFoundError:  # it was moved just now
        content = run_file(data_dir, run_id).read_bytes()
    return content.rstrip(b"\n").rpartition(b"\n")[2]


class Template(NamedTuple):
    """The files of one run, by their paths in the data directory."""

    data_dir: Path
    run_id: str
    files: dict[str, bytes]

    def copy(self, days: int = 0) -> str:
        """Write the files with another id, as of a run that was made `days` ago; return the id.

        They are not synced.
        """
        seconds = time.time() - days * DAY_SECONDS
        copy_id = str(ULID.from_timestamp(seconds))
        for name, content in self.files.items():
            path = self.data_dir / name.replace(self.run_id, copy_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_aged(content, days).replace(self.run_id.encode(), copy_id.encode()))
            if days:
                os.utime(path, (seconds, seconds))
        return copy_id


def take_out(data_dir: Path, run_id: str) -> Template:
    """Remove the files of a run and of the index from a data directory, and return the run's."""
    paths = [path for path in data_dir.rglob("*") if run_id in str(path.relative_to(data_dir))]
    files = {str(path.relative_to(data_dir)): path for path in paths if path.is_file()}
    template = Template(data_dir, run_id, {name: path.read_bytes() for name, path in files.items()})
    for path in (*files.values(), *data_dir.glob(INDEX)):
        path.unlink()
    return template


def _aged(content: bytes, days: int) -> bytes:
    if not days:
        return content

    def earlier(found: re.Match[bytes]) -> bytes:
        day = date.fromisoformat(found[1].decode()) - timedelta(days=days)
        return day.isoformat().encode()

    return _DATE.sub(earlier, content)
