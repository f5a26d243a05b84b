"""The smallest store: everything in memory. It shows what the protocol asks for."""

from __future__ import annotations

import asyncio
import builtins
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
from jupyter_pdflow.rules.workflow import Source, Workflow, next_number, version_of
from jupyter_pdflow.stores import (
    Email,
    IdempotencyKey,
    KeptOutputs,
    Lapsed,
    RunChange,
    RunQuery,
    RunSummary,
    ScheduleMark,
    StepOutputs,
    VersionSummary,
    WorkerState,
    change_of,
    summary_of,
    unknown_workflow,
)
from jupyter_pdflow.stores.counts import (
    ALL,
    CountQuery,
    CountRow,
    Counts,
    DayCounts,
    WorkflowCounts,
    counts_of,
)
from jupyter_pdflow.stores.search import search_text, words_of
from jupyter_pdflow.stores.validation import newest_ulid

HISTORY_KEPT = 1_000


@dataclass
class Data:
    """What survives a restart."""

    runs: dict[str, Run] = field(default_factory=dict)
    histories: dict[str, dict[int, HistoryEntry]] = field(default_factory=dict)
    outputs: dict[str, dict[tuple[str, int], StepOutputs]] = field(default_factory=dict)
    emails: dict[str, Email] = field(default_factory=dict)
    versions: dict[str, dict[str, Workflow]] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
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
            kept[outputs.step, outputs.execution] = outputs
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
        def place(run: Run) -> tuple[Any, ...]:
            by_creation = query.since is not None or query.until is not None
            return (run.created_at, run.id) if by_creation else (run.id,)

        last = self.data.runs.get(query.before or "")
        runs = sorted(self.data.runs.values(), key=place, reverse=True)
        found = [
            summary_of(run)
            for run in runs
            if self._matches(run, query)
            and (
                query.before is None
                or (place(run) < place(last) if last else run.id < query.before)
            )
        ]
        return found[: query.limit]

    def _matches(self, run: Run, query: RunQuery) -> bool:
        return (
            query.status in (None, run.status)
            and query.pause in (None, run.pause.kind if run.pause else "")
            and self._passes(run, query)
        )

    def _passes(self, run: Run, query: RunQuery | CountQuery) -> bool:
        text, search = search_text(run), query.search or ""
        return (
            query.workflow_id in (None, run.workflow_id)
            and (query.since is None or run.created_at >= query.since)
            and (query.until is None or run.created_at < query.until)
            and (all(word in text for word in words_of(search)) or search.strip() == run.id)
        )

    async def counts(self, query: CountQuery = ALL) -> Counts:
        runs = [run for run in self.data.runs.values() if self._passes(run, query)]
        statuses = Counter((run.workflow_id, run.status) for run in runs)
        rows = [CountRow(*key, number, 0, "") for key, number in statuses.items()]
        counts = counts_of(rows)
        for run in sorted(runs, key=lambda run: run.created_at):
            workflow = counts.workflows[run.workflow_id]
            workflow.newest = max(workflow.newest, run.id)
            workflow.waiting += run.pause is not None and run.pause.kind == "suspend"
            versions = [*self.data.versions.get(run.workflow_id, {}).values()]
            workflow.name = versions[-1].name if versions else run.workflow_id
            days = query.days()
            if days is not None and days[0] <= run.created_at < days[1]:
                self._count_day(workflow, run, query.offset)
        return counts

    def _count_day(self, counts: WorkflowCounts, run: Run, offset: int) -> None:
        day = (run.created_at + timedelta(minutes=offset)).date()
        if not counts.days or counts.days[-1].day != day:
            counts.days.append(DayCounts(day, 0, 0, 0, 0))
        name, last = run.status if run.ended else "active", counts.days[-1]
        counts.days[-1] = last._replace(**{name: getattr(last, name) + 1})

    async def oldest_queued(self) -> datetime | None:
        queued = [run for run in self.data.runs.values() if run.status == "queued"]
        return min((run.updated_at for run in queued), default=None)

    async def newest(self) -> str | None:
        return newest_ulid(self.data.runs)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        return self.data.histories[self._run(run_id).id]

    async def outputs(self, run_id: str) -> KeptOutputs:
        return KeptOutputs(shown=[*self.data.outputs.get(run_id, {}).values()])

    async def outputs_tag(self, run_id: str) -> str:
        kept = self.data.outputs.get(run_id, {})
        return f"{self._run(run_id).updated_at} {[id(shown) for shown in kept.values()]}"

    async def put_live(self, run_id: str, shown: StepOutputs) -> None:
        pass

    async def remove_live(self, run_id: str, shown: StepOutputs) -> None:
        pass

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

    async def emails(self, limit: int, run_id: str | None = None) -> builtins.list[Email]:
        emails = sorted(self.data.emails.values(), key=lambda each: (each.created_at, each.id))
        return [email for email in emails[::-1] if run_id in (None, email.run_id)][:limit]

    async def email_counts(self) -> dict[str, int]:
        return dict(Counter(email.status for email in self.data.emails.values()))

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
        versions = self.data.versions.setdefault(name, {})
        version = version_of(source)
        is_new = self.data.newest.get(name) != version
        self.data.newest[name] = version
        workflow = Workflow(
            id=name, name=name, version=version, path=path, source=source, created_at=now
        )
        number = next_number(versions)
        return versions.setdefault(version, replace(workflow, number=number)), is_new

    async def workflows(self) -> builtins.list[Workflow]:
        return [await self.workflow(name) for name in sorted(self.data.versions)]

    async def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        newest = self.data.newest.get(workflow_id, "")
        workflow = self.data.versions.get(workflow_id, {}).get(version or newest)
        if workflow is None:
            raise unknown_workflow(workflow_id, version)
        return workflow

    async def deployed(self, path: str) -> Workflow | None:
        found = [each for each in await self.workflows() if each.path == path]
        return found[0] if found else None

    async def versions(self, workflow_id: str, limit: int) -> builtins.list[VersionSummary]:
        newest = await self.workflow(workflow_id)
        return [
            VersionSummary(
                version=each.version,
                number=each.number,
                created_at=each.created_at,
                current=each == newest,
            )
            for each in reversed(self.data.versions[workflow_id].values())
        ][:limit]

    async def version_numbers(
        self, versions: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        stored = self.data.versions
        return {
            (workflow_id, version): stored[workflow_id][version].number
            for workflow_id, version in versions
            if version in stored.get(workflow_id, {})
        }
