"""Runs and emails in memory that an index is made from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from jupyter_pdflow.rules.pauses import Pause
from jupyter_pdflow.rules.run import ENDED, Run, Step
from jupyter_pdflow.stores import Email
from jupyter_pdflow.stores.search import AnyRun
from jupyter_pdflow.stores.tinydb.index import Index
from jupyter_pdflow.stores.tinydb.index_source import EmailSummary
from jupyter_pdflow.stores.tinydb.writer import Stamp

OpenIndex = Callable[..., Index]

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def make_run(run_id: str = "a", status: Any = "succeeded", **fields: Any) -> Run:
    run = Run(
        id=run_id,
        workflow_id="orders",
        workflow_name="Orders",
        version="1",
        steps=(Step(name="approve", exports={"big": "x" * 100}),),
        created_at=NOW,
        updated_at=NOW,
        status=status,
        ended_at=NOW if status in ENDED else None,
        pause=pause_of("suspend") if status == "paused" else None,
    )
    return replace(run, **fields)


def pause_of(kind: Any) -> Pause:
    return Pause(kind=kind, step="approve", execution=1, since=NOW, deadline=NOW)


def make_email(email_id: str = "a-1-1-1", status: Any = "queued", at: datetime = NOW) -> Email:
    return Email(
        id=email_id,
        run_id=email_id.rsplit("-", 3)[0],
        step="approve",
        to=["ada@example.org"],
        subject="Please",
        text="x" * 1000,
        html=None,
        created_at=at,
        status=status,
    )


def brief(email: Email) -> EmailSummary:
    return EmailSummary(**{name: getattr(email, name) for name in EmailSummary.__struct_fields__})


class MemorySource:
    """A source in memory, which counts what is read."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[AnyRun, Stamp]] = {}
        self.emails: dict[str, tuple[Email, Stamp]] = {}
        self.read: list[str] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self._stamps = 0

    def put(self, record: Run | Email) -> Stamp:
        self._stamps += 1
        stamp = (1, self._stamps, 1)
        if isinstance(record, Run):
            self.runs[record.id] = record, stamp
        else:
            self.emails[record.id] = record, stamp
        return stamp

    def state(self) -> str:
        return ",".join(["files", *sorted(self.runs), *sorted(self.emails)])

    def run_stamps(self) -> Iterator[tuple[str, Stamp]]:
        self.gate.wait(20)
        yield from [(run_id, stamp) for run_id, (_, stamp) in self.runs.items()]

    def email_stamps(self) -> Iterator[tuple[str, Stamp]]:
        yield from [(email_id, stamp) for email_id, (_, stamp) in self.emails.items()]

    def run(self, run_id: str) -> tuple[AnyRun, Stamp] | None:
        self.read.append(run_id)
        self.threads.add(threading.current_thread().name)
        return self.runs.get(run_id)

    def email(self, email_id: str) -> tuple[Email, Stamp] | None:
        self.read.append(email_id)
        return self.emails.get(email_id)

    def store(self, index: Index, *records: Run | Email) -> None:
        """Store records, and tell the index, as a store does after a commit."""
        for record in records:
            stamp = self.put(record)
            if isinstance(record, Run):
                index.put_run(record, stamp)
            else:
                index.put_email(record, stamp)

    def remove(self, index: Index, *run_ids: str) -> None:
        """Remove runs and their emails, and tell the index."""
        for run_id in run_ids:
            self.runs.pop(run_id, None)
        self.emails = {
            email_id: pair
            for email_id, pair in self.emails.items()
            if pair[0].run_id not in run_ids
        }
        index.remove_runs(run_ids)


async def ids(found: Awaitable[Any]) -> list[str]:
    return [one.id for one in await found]


async def kill(index: Index) -> None:
    """End an index as a kill would: changes that are not written are lost, and nothing is noted."""
    if index._updating is not None:
        index._updating.cancel()
        await asyncio.wait([index._updating])
        index._updating = None
    await asyncio.gather(*index._writing)
    index._file.disconnect()
    index._thread.shutdown(wait=False)
