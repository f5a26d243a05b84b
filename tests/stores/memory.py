"""The smallest store: everything in memory. It shows what the protocol asks for."""

from __future__ import annotations

import asyncio
import builtins
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from jupyter_pdflow.clock import Deadlines
from jupyter_pdflow.exceptions import (
    NotFoundError,
    PDFlowError,
    RunActiveError,
    RunDeletedError,
    StorageUnavailableError,
)
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import OutboxMessage, Run
from jupyter_pdflow.rules.workflow import Source, Workflow, version_of
from jupyter_pdflow.stores import (
    Counts,
    Email,
    IdempotencyKey,
    Lapsed,
    Output,
    RunChange,
    RunQuery,
    RunSummary,
    ScheduleMark,
    StepOutputs,
    WorkerState,
    change_of,
    summary_of,
)
from jupyter_pdflow.stores.tinydb.runs import newest_ulid

HISTORY_KEPT = 1_000


@dataclass
class Data:
    """What survives a restart."""

    runs: dict[str, Run] = field(default_factory=dict)
    histories: dict[str, dict[int, HistoryEntry]] = field(default_factory=dict)
    outputs: dict[str, dict[tuple[str, int], list[Output]]] = field(default_factory=dict)
    emails: dict[str, Email] = field(default_factory=dict)
    versions: dict[str, list[Workflow]] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)
    marks: dict[str, dict[str, datetime]] = field(default_factory=dict)


class MemoryTransaction:
    def __init__(self, store: MemoryStore, run: Run) -> None:
        self._store = store
        self.run = run

    async def commit(
        self, run: Run, entries: Sequence[HistoryEntry] = (), outputs: StepOutputs | None = None
    ) -> None:
        self._store.commit(run, entries, outputs, is_new=run is not self.run)
        self.run = run


class MemoryStore:
    kind = "memory"
    lease_seconds: float | None = None

    def __init__(self, data: Data) -> None:
        self.owner = uuid4().hex
        self.data = data
        self.broken = False
        self._locks: dict[str, asyncio.Lock] = {}
        self._deadlines = Deadlines()
        self._email_deadlines = Deadlines()
        self._ready: list[str] = []
        self._lapsed: list[Lapsed] = []
        self._listeners: list[asyncio.Queue[RunChange]] = []

    @property
    def available(self) -> bool:
        return not self.broken

    async def open(self) -> None:
        for run in sorted(self.data.runs.values(), key=lambda run: run.id):
            self._set_deadline(run)
            if run.ready:
                self._ready.append(run.id)
            if run.status == "running":
                self._lapsed.append(Lapsed(run.id, run.current.name, run.execution, run.attempt))
        for email in self.data.emails.values():
            if email.status == "queued":
                self._email_deadlines.set(email.id, datetime.now(UTC))

    async def close(self) -> None:
        pass

    # --- runs ---

    async def create(
        self,
        run: Run,
        entries: Sequence[HistoryEntry] = (),
        *,
        key: IdempotencyKey | None = None,
        mark: ScheduleMark | None = None,
    ) -> Run:
        name = (key.scope, key.key) if key else None
        if name is not None and name in self.data.keys:
            run_id, expires_at = self.data.keys[name]
            if expires_at > run.created_at and run_id not in self.data.runs:
                raise RunDeletedError(run_id)
            if expires_at > run.created_at:
                return self.data.runs[run_id]
        self.commit(run, entries, None, is_new=True)
        if name is not None and key is not None:
            self.data.keys[name] = run.id, key.expires_at
        if mark is not None:
            self.data.marks.setdefault(mark.workflow_id, {})[mark.trigger_id] = mark.at
        return run

    @asynccontextmanager
    async def transaction(self, run_id: str) -> AsyncIterator[MemoryTransaction]:
        async with self._locks.setdefault(run_id, asyncio.Lock()):
            yield MemoryTransaction(self, self._run(run_id))

    def commit(
        self,
        run: Run,
        entries: Sequence[HistoryEntry],
        outputs: StepOutputs | None,
        *,
        is_new: bool,
    ) -> None:
        if self.broken:
            msg = "The memory is full. Nothing was changed."
            raise StorageUnavailableError(msg)
        if outputs is not None and outputs.outputs:
            kept = self.data.outputs.setdefault(run.id, {})
            kept[outputs.step, outputs.execution] = outputs.outputs
        if not is_new:
            return
        for message in run.outbox:
            self._take_over(message)
        self.data.runs[run.id] = replace(run, outbox=[])
        history = self.data.histories.setdefault(run.id, {})
        for number, entry in enumerate(entries, max(history, default=0) + 1):
            history[number] = entry
        self.data.histories[run.id] = dict(list(history.items())[-HISTORY_KEPT:])
        self._set_deadline(run)
        for queue in self._listeners:
            queue.put_nowait(change_of(run))

    async def get(self, run_id: str) -> Run:
        return self._run(run_id)

    def _run(self, run_id: str) -> Run:
        if run_id not in self.data.runs:
            msg = f"There is no run {run_id}."
            raise NotFoundError(msg)
        return self.data.runs[run_id]

    def _set_deadline(self, run: Run) -> None:
        if run.wakes_at is None:
            self._deadlines.unset(run.id)
        else:
            self._deadlines.set(run.id, run.wakes_at)

    async def list(self, query: RunQuery) -> builtins.list[RunSummary]:
        runs = sorted(self.data.runs.values(), key=lambda run: run.id, reverse=True)
        found = [summary_of(run) for run in runs if self._matches(run, query)]
        return found[: query.limit]

    def _matches(self, run: Run, query: RunQuery) -> bool:
        text = f"{run.workflow_name} {run.event}".casefold()
        return (
            query.status in (None, run.status)
            and query.workflow_id in (None, run.workflow_id)
            and query.pause in (None, run.pause.kind if run.pause else "")
            and (query.before is None or run.id < query.before)
            and all(word in text for word in (query.search or "").casefold().split())
        )

    async def counts(self) -> Counts:
        queued = [run for run in self.data.runs.values() if run.status == "queued"]
        return Counts(
            runs=dict(Counter(run.status for run in self.data.runs.values())),
            queued=dict(Counter(run.workflow_id for run in queued)),
            emails=dict(Counter(email.status for email in self.data.emails.values())),
            oldest_queued=min((run.updated_at for run in queued), default=None),
        )

    async def newest(self) -> str | None:
        return newest_ulid(self.data.runs)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        return self.data.histories[self._run(run_id).id]

    async def outputs(self, run_id: str) -> dict[str, builtins.list[Output]]:
        found: dict[str, Any] = {}
        for (step, _), outputs in self.data.outputs.get(run_id, {}).items():
            found.setdefault(step, []).extend(outputs)
        return found

    async def ended_before(
        self, moment: datetime, limit: int, after: str | None = None
    ) -> builtins.list[str]:
        waiting = {email.run_id for email in self.data.emails.values() if email.status == "queued"}
        found = [
            run.id
            for run in self.data.runs.values()
            if run.ended_at and run.ended_at < moment and run.id > (after or "")
        ]
        return sorted(set(found) - waiting)[:limit]

    async def delete(self, run_ids: Sequence[str]) -> dict[str, PDFlowError]:
        failed: dict[str, PDFlowError] = {}
        for run_id in run_ids:
            try:
                if not self._run(run_id).ended:
                    msg = f"Run {run_id} has not ended."
                    raise RunActiveError(msg)
            except PDFlowError as error:
                failed[run_id] = error
                continue
            del self.data.runs[run_id]
            self.data.outputs.pop(run_id, None)
            self.data.histories.pop(run_id, None)
            for email in [each for each in self.data.emails.values() if each.run_id == run_id]:
                del self.data.emails[email.id]
                self._email_deadlines.unset(email.id)
        return failed

    async def schedule_marks(self, workflow_id: str) -> dict[str, datetime]:
        return self.data.marks.get(workflow_id, {})

    async def remove_expired(self, now: datetime) -> None:
        self.data.keys = {name: key for name, key in self.data.keys.items() if key[1] > now}

    async def changes(self) -> AsyncIterator[RunChange]:
        queue: asyncio.Queue[RunChange] = asyncio.Queue()
        self._listeners.append(queue)

        async def listen() -> AsyncIterator[RunChange]:
            while True:
                yield await queue.get()

        return listen()

    # --- work ---

    async def ready(self) -> builtins.list[str]:
        ready, self._ready = self._ready, []
        return ready

    async def renew(
        self, run_ids: Collection[str], worker: WorkerState | None = None
    ) -> builtins.list[str]:
        del run_ids, worker
        return []

    async def workers(self) -> builtins.list[WorkerState]:
        return []

    async def lapsed(self, now: datetime, limit: int) -> builtins.list[Lapsed]:
        lapsed, self._lapsed = self._lapsed[:limit], self._lapsed[limit:]
        return lapsed

    async def next_deadline(self) -> datetime | None:
        return self._deadlines.next()

    async def due(self, now: datetime, limit: int, again_at: datetime) -> builtins.list[str]:
        return self._deadlines.due(now, limit, again_at)

    # --- emails ---

    def _take_over(self, message: OutboxMessage) -> None:
        if message.id in self.data.emails:
            return
        self.data.emails[message.id] = Email(
            id=message.id,
            run_id=message.run_id,
            step=message.step,
            to=message.email.to,
            subject=message.email.subject,
            text=message.email.text,
            html=message.email.html,
            created_at=message.created_at,
        )
        self._email_deadlines.set(message.id, message.created_at)

    async def email(self, email_id: str) -> Email:
        if email_id not in self.data.emails:
            msg = f"There is no email {email_id}."
            raise NotFoundError(msg)
        return self.data.emails[email_id]

    async def emails(self, limit: int) -> builtins.list[Email]:
        emails = sorted(self.data.emails.values(), key=lambda each: (each.created_at, each.id))
        return emails[::-1][:limit]

    async def next_email_at(self) -> datetime | None:
        return self._email_deadlines.next()

    async def due_emails(
        self, now: datetime, limit: int, again_at: datetime
    ) -> builtins.list[Email]:
        ids = self._email_deadlines.due(now, limit, again_at)
        return [self.data.emails[email_id] for email_id in ids]

    async def put_email(
        self, email: Email, next_at: datetime | None, message: bytes | None = None
    ) -> None:
        if email.id not in self.data.emails:
            return
        self.data.emails[email.id] = email
        if email.status == "queued":
            self._email_deadlines.set(email.id, next_at or email.created_at)
        else:
            self._email_deadlines.unset(email.id)

    # --- workflows ---

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        name = path.removesuffix(".ipynb")
        versions = self.data.versions.setdefault(name, [])
        version = version_of(source)
        if versions and versions[-1].version == version:
            return versions[-1], False
        workflow = Workflow(
            id=name, name=name, version=version, path=path, source=source, created_at=now
        )
        versions.append(workflow)
        return workflow, True

    async def workflows(self) -> builtins.list[Workflow]:
        return [versions[-1] for _, versions in sorted(self.data.versions.items())]

    async def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        for workflow in reversed(self.data.versions.get(workflow_id, [])):
            if version in (None, workflow.version):
                return workflow
        msg = f"There is no workflow {workflow_id}."
        raise NotFoundError(msg)
