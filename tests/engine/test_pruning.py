"""Finished runs are removed after some days, with their emails, outputs and files."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from jupyter_client.multikernelmanager import AsyncMultiKernelManager
from msgspec.structs import replace

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.local_queue import Ids
from jupyter_pdflow.engine.scheduler import Pruning
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import NotFoundError, RunActiveError, StorageUnavailableError
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage, Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import IdempotencyKey, RunQuery, StepOutputs
from jupyter_pdflow.stores.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.rules.support import no_links, workflow
from tests.waiting import until

IDS = Ids()
"""Ids in the order in which they are made, also within a millisecond."""


LONG_AGO = utc_now() - timedelta(days=10)
OUTPUT = {"output_type": "stream", "name": "stdout", "text": "t"}


class Crash(BaseException):
    """Stands for a server that ends in the middle of its work."""


def nine_days_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=9)


class Services:
    """A store, an outbox and files in one data directory, and runs in it that ended long ago."""

    def __init__(
        self, data_dir: Path, transport: SMTPTransport | None = None, limits: Limits = LIMITS
    ) -> None:
        self.limits = limits
        self.data_dir = data_dir
        self.store = TinyDBStore(data_dir, RunFolders(data_dir / FILES), limits=limits)
        self.outbox = Outbox(
            self.store,
            transport,
            mail_from="a@b",
            mail_to=["c@d"],
            clock=utc_now,
            links_for=no_links,
            limits=limits,
        )
        # It is not opened: the tests prune.
        self.service = Service(
            self.store,
            KernelPool(AsyncMultiKernelManager(), max_kernels=0, idle_seconds=1),
            self.outbox,
            lambda *_: ("", ""),
            folders=RunFolders(data_dir / FILES),
            limits=limits,
        )

    async def __aenter__(self) -> Self:
        await self.store.open()
        self.outbox.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.outbox.close()
        await self.store.close()

    def pruning(self, keep_days: float | None = 9) -> Pruning:
        return Pruning(
            self.store,
            self.service.delete_all,
            keep_days=keep_days,
            clock=utc_now,
            limits=self.limits,
        )

    async def make(self, *, ended: bool = True, old: bool = True) -> str:
        """Store a run with outputs, files and an email that is kept as a file."""
        now = LONG_AGO if old else utc_now()
        run = new_run(IDS.new(utc_now()), workflow("a"), None, now).run
        await self.store.create(replace(run, outbox=[email_of(run)]))
        self.outbox.wake()
        await self.outbox.wait_kept()
        shown = StepOutputs(step="a", execution=1, outputs=[OUTPUT])
        (self.data_dir / FILES / run.id / "sub").mkdir(parents=True)
        async with self.store.transaction(run.id) as transaction:
            after = apply(run, Cancel(by="api"), now).run if ended else transaction.run
            await transaction.commit(after, outputs=shown)
        return run.id

    async def runs(self) -> list[str]:
        return [run.id for run in await self.store.list(RunQuery())]

    async def emails(self) -> list[str]:
        """Return the ids of the runs of all emails that are listed."""
        return [email.run_id for email in await self.service.emails()]

    def traces(self, run_id: str) -> list[str]:
        # os.walk, because it ignores folders that are removed meanwhile.
        paths = [
            Path(folder, name)
            for folder, folders, files in os.walk(self.data_dir)
            for name in [*folders, *files]
        ]
        return sorted(
            str(path.relative_to(self.data_dir)) for path in paths if path.name.startswith(run_id)
        )


def email_of(run: Run) -> OutboxMessage:
    return OutboxMessage(
        id=f"{run.id}-1-0-0",
        run_id=run.id,
        step="a",
        created_at=run.created_at,
        email=EmailRequest(subject="s"),
    )


@pytest.fixture
async def services(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Services]:
    async with Services(tmp_path, limits=getattr(request, "param", LIMITS)) as services:
        yield services


def all_of(run_id: str, folder: str) -> list[str]:
    emails = [f"mail/{run_id}-1-0-0.eml", f"mail/done/{run_id}-1-0-0.json"]
    outputs = f"outputs/{run_id}.json"
    return sorted([f"{folder}/{run_id}.jsonl", *emails, outputs, f"files/{run_id}"])


async def test_old_finished_runs_are_removed_with_emails_outputs_and_files(
    services: Services,
) -> None:
    old, new, waiting = (
        await services.make(),
        await services.make(old=False),
        await services.make(ended=False),
    )
    await services.pruning().prune(nine_days_ago())
    assert services.traces(old) == []
    assert services.traces(new) == all_of(new, "finished")
    assert services.traces(waiting) == all_of(waiting, "active")
    assert await services.runs() == [waiting, new]
    assert sorted(await services.emails()) == sorted([waiting, new])


@pytest.mark.parametrize("services", [Limits(emails_listed=2)], indirect=True)
async def test_older_emails_are_listed_when_newer_ones_were_removed(services: Services) -> None:
    older, *newer = [await services.make() for _ in range(3)]
    assert {*await services.emails()} == {*newer}
    assert await services.service.delete_all(newer) == {}
    assert await services.emails() == [older]


async def test_without_keep_days_nothing_is_removed(services: Services) -> None:
    old = await services.make()
    pruning = services.pruning(keep_days=None)
    pruning.open()
    await pruning.close()
    assert services.traces(old) == all_of(old, "finished")


async def test_a_run_with_a_queued_email_is_kept(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = SMTPTransport.at(f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        async with Services(tmp_path, transport) as services:
            old = await services.make()
            await services.pruning().prune(nine_days_ago())
            assert f"mail/queued/{old}-1-0-0.json" in services.traces(old)
            assert (await services.store.get(old)).ended


@pytest.mark.parametrize("removals", range(4))
async def test_a_run_that_a_crash_left_half_removed_is_removed_later(
    tmp_path: Path, removals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Services(tmp_path) as first:
        old = await first.make()
        left, unlink = removals, Path.unlink

        def unlink_or_crash(path: Path, missing_ok: bool = False) -> None:
            nonlocal left
            if path.name.startswith(old) and path.exists():
                if left == 0:
                    raise Crash
                left -= 1
            unlink(path, missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink_or_crash)
            with pytest.raises(Crash):
                await first.pruning().prune(nine_days_ago())
        # Its files went before, and its own file is the last one to go.
        assert len(first.traces(old)) == 4 - removals
        assert f"finished/{old}.jsonl" in first.traces(old)
    async with Services(tmp_path) as again:
        assert await again.runs() == [old]
        await again.pruning().prune(nine_days_ago())
        assert again.traces(old) == []
        assert await again.runs() == await again.emails() == []


async def test_files_are_removed_and_targets_of_links_are_not(
    services: Services, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis").write_text("years of work")
    linking, linked, locked = [await services.make() for _ in range(3)]
    (services.data_dir / FILES / linking / "out").symlink_to(mine)
    (services.data_dir / FILES / linking / "file").symlink_to(mine / "thesis")
    (services.data_dir / FILES / linked / "sub").rmdir()
    (services.data_dir / FILES / linked).rmdir()
    (services.data_dir / FILES / linked).symlink_to(mine)
    (services.data_dir / FILES / locked / "sub" / "file").touch()
    (services.data_dir / FILES / locked / "sub").chmod(0o500)
    await services.pruning().prune(nine_days_ago())
    assert [run for run in (linking, linked, locked) if services.traces(run)] == []
    assert (mine / "thesis").read_text() == "years of work"


@pytest.mark.parametrize("services", [Limits(pruned_at_once=2)], indirect=True)
async def test_many_runs_are_removed_in_several_parts(services: Services) -> None:
    old = [await services.make() for _ in range(5)]
    new = await services.make(old=False)
    pruning = services.pruning()
    pruning.open()
    await until(lambda: not any(services.traces(run_id) for run_id in old))
    await pruning.close()
    assert await services.runs() == await services.emails() == [new]


@pytest.mark.parametrize("services", [Limits(pruning_seconds=0.01)], indirect=True)
async def test_a_failed_removal_is_logged_and_tried_again(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    finished, outputs = services.data_dir / "finished", services.data_dir / "outputs"
    with_stuck_outputs, with_stuck_email, other = [await services.make() for _ in range(3)]
    blocked = [
        outputs / f"{with_stuck_outputs}.json",
        services.data_dir / "mail" / f"{with_stuck_email}-1-0-0.eml",
    ]
    for path in blocked:
        path.unlink()
        path.mkdir()  # can't be removed as a file
    pruning = services.pruning()
    pruning.open()
    await until(lambda: "can't be removed; trying again later" in caplog.text)
    await until(lambda: not services.traces(other))
    assert sorted(os.listdir(finished)) == [
        f"{run_id}.jsonl" for run_id in (with_stuck_outputs, with_stuck_email)
    ]
    for path in blocked:
        path.rmdir()
    await until(lambda: not os.listdir(finished))
    await pruning.close()


async def test_other_tasks_run_while_runs_are_removed(tmp_path: Path) -> None:
    async with Services(tmp_path) as services:
        made = await services.make()
    copied = [f"finished/{made}.jsonl", f"mail/done/{made}-1-0-0.json"]
    contents = {name: (services.data_dir / name).read_bytes() for name in copied}
    for _ in range(1_000):
        run_id = IDS.new(utc_now())
        for name, content in contents.items():
            path = services.data_dir / name.replace(made, run_id)
            path.write_bytes(content.replace(made.encode(), run_id.encode()))
    async with Services(services.data_dir) as again:
        assert (await again.store.counts()).statuses == {"canceled": 1_001}
        pruning = asyncio.create_task(again.pruning().prune(nine_days_ago()))
        turns = 0
        while not pruning.done():
            await asyncio.sleep(0)
            turns += 1
        await pruning
        assert os.listdir(again.data_dir / "finished") == []
        assert turns > 1_000


class TestDelete:
    """`Service.delete`: a client removes one run."""

    async def test_a_run_that_has_ended_is_gone(self, services: Services) -> None:
        new = await services.make(old=False)
        await services.service.delete(new)
        assert services.traces(new) == []
        assert await services.runs() == await services.emails() == []
        with pytest.raises(NotFoundError):
            await services.service.delete(new)

    async def test_a_run_that_has_not_ended_stays(self, services: Services) -> None:
        waiting = await services.make(ended=False)
        with pytest.raises(RunActiveError, match="is queued; cancel it first"):
            await services.service.delete(waiting)
        assert services.traces(waiting) == all_of(waiting, "active")

    async def test_a_run_whose_files_stay_can_be_deleted_again(
        self, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = await services.make()

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patch:
            patch.setattr(os, "rmdir", refuse)
            with pytest.raises(StorageUnavailableError, match="can't be removed completely"):
                await services.service.delete(run)
        assert f"finished/{run}.jsonl" in services.traces(run)
        await services.service.delete(run)
        assert services.traces(run) == []


@pytest.mark.parametrize("keep_days", [None, 9])
async def test_expired_keys_are_removed(services: Services, keep_days: float | None) -> None:
    run = new_run(IDS.new(utc_now()), workflow("a"), None, LONG_AGO).run
    expired = IdempotencyKey(scope="w", key="x", expires_at=LONG_AGO + timedelta(days=1))
    await services.store.create(run, key=expired)
    keys = services.data_dir / "keys"
    assert len(os.listdir(keys)) == 1
    pruning = services.pruning(keep_days)
    pruning.open()
    await until(lambda: os.listdir(keys) == [])
    await pruning.close()
