"""Data directories as servers leave them, made without a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ulid import ULID

from jupyter_pdflow.rules.events import Begin, Finish
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import Outcome, Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow
from jupyter_pdflow.server.links.tokens import LINK_KEYS, read_keys
from jupyter_pdflow.stores import Email, StepOutputs
from jupyter_pdflow.stores.files import replace_file
from jupyter_pdflow.stores.tinydb.index import INDEX
from jupyter_pdflow.stores.tinydb.layout import (
    ACTIVE,
    DONE_EMAILS,
    FINISHED,
    QUEUED_EMAILS,
    DataDir,
)
from jupyter_pdflow.stores.tinydb.store import TinyDBStore

SOURCE = Source(
    kernel_name="python3", setup=(), steps=(StepSource(name="a", source="def handler(pd): ..."),)
)
SUSPEND = PauseCall(kind="suspend", ms=3_600_000)


HISTORY = {1: "start", 2: "begin", 3: "finish"}
"""The events of each run's history, by number."""


class SampleData(NamedTuple):
    """A data directory with a paused and a finished run, each with outputs, an email and files."""

    data: DataDir
    paused: Run
    ended: Run

    @property
    def path(self) -> Path:
        return self.data.path

    def at(self, path: Path) -> SampleData:
        """Return the same runs in another data directory."""
        return SampleData(DataDir(path), self.paused, self.ended)

    def history(self, run: Run) -> dict[int, str]:
        """Return the events of a run's history, by number."""
        return {n: entry.event for n, entry in self.data.history_of_run(run.id).items()}

    def files(self, folder: str = "") -> list[str]:
        """List all files below a folder, but those of the lock and the index."""
        root = self.path / folder
        found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        return sorted(name for name in found if not name.startswith(("lock", INDEX)))


def make_sample_data(path: Path, source: Source = SOURCE) -> SampleData:
    path.mkdir(mode=0o700)
    read_keys(path / LINK_KEYS)
    return asyncio.run(_make(path, source))


async def _make(path: Path, source: Source) -> SampleData:
    data, store = DataDir(path), TinyDBStore(path)
    await store.open()
    workflow, _ = await store.deploy("flow.ipynb", source, datetime.now(UTC))
    runs = [await make_run(data, store, workflow, pause) for pause in (SUSPEND, None)]
    await store.close()
    return SampleData(data, *runs)


async def make_run(
    data: DataDir, store: TinyDBStore, workflow: Workflow, pause: PauseCall | None
) -> Run:
    now = datetime.now(UTC)
    run, _, entries = new_run(str(ULID()), workflow, {"amount": 12}, now)
    begun = apply(run, Begin(), now)
    await store.create(begun.run, (*entries, *begun.entries))
    finish = Finish(step="a", execution=1, attempt=1, outcome=Outcome(flow=pause))
    run, _, entries = apply(begun.run, finish, now)
    output = {"output_type": "stream", "name": "stdout", "text": "t"}
    shown = StepOutputs(step="a", execution=1, outputs=[output])
    async with store.transaction(run.id) as transaction:
        await transaction.commit(run, entries, shown)
    add_email(data, run, status="kept")
    add_file(data, run, "sub dir/\N{LATIN SMALL LETTER U WITH DIAERESIS}.bin", bytes(range(256)))
    return run


def make_format_1(data: DataDir, run: Run) -> Path:
    """Replace the file of a run by that of format 1, which has no history."""
    folder = FINISHED if run.ended else ACTIVE
    path = data.file(folder, run.id)
    content = FINISHED.type.dump(run).replace(b'"format":2', b'"format":1', 1)
    path.unlink()
    path = path.with_suffix(".json")
    replace_file(path, content)
    return path


def add_file(data: DataDir, run: Run, path: str, content: bytes = b"x") -> Path:
    file = data.at(f"files/{run.id}") / path
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o600)
    return file


def add_email(data: DataDir, run: Run, number: int = 0, **fields: Any) -> Email:
    email = Email(
        id=f"{run.id}-1-0-{number}",
        run_id=run.id,
        step="a",
        to=["a@example.org"],
        subject="s",
        text="t",
        html=None,
        created_at=datetime.now(UTC),
        **fields,
    )
    data.write(QUEUED_EMAILS if email.status == "queued" else DONE_EMAILS, email.id, email)
    if email.status == "kept":
        replace_file(data.path / "mail" / f"{email.id}.eml", b"Subject: s\r\n\r\nt")
    return email
