"""Finished runs are removed after some days, with their emails, outputs and files."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ulid import ULID

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.queue import Ids
from jupyter_pdflow.engine.scheduler import Pruning
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores.tinydb.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.engine.support import until
from tests.rules.support import START, workflow

IDS = Ids()
"""Ids in the order in which they are made, also within a millisecond."""


LONG_AGO = time.time() - 10 * 86_400


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
        self.store = TinyDBStore(data_dir)
        list(self.store.active())
        self.folders = RunFolders(data_dir / FILES)
        self.outbox = Outbox(
            data_dir, transport, mail_from="a@b", mail_to=["c@d"], clock=utc_now, limits=limits
        )

    def pruning(self, keep_days: float | None = 9) -> Pruning:
        return Pruning(
            self.store,
            self.outbox,
            self.folders,
            keep_days=keep_days,
            clock=utc_now,
            limits=self.limits,
        )

    async def make(self, *, ended: bool = True, old: bool = True) -> str:
        run = new_run(IDS.new(datetime.now(UTC)), workflow("a"), None, datetime.now(UTC)).run
        await self.store.put(run)
        await self.store.put_outputs(run.id, "a", 1, [{"output_type": "stream", "text": "t"}])
        (self.data_dir / FILES / run.id / "sub").mkdir(parents=True)
        email = OutboxMessage(
            id=f"{run.id}-1-0-0",
            run_id=run.id,
            step="a",
            created_at=START,
            email=EmailRequest(subject="s"),
        )
        await self.outbox.accept([email])
        if ended:
            await self.store.finish(apply(run, Cancel(by="api"), START).run)
        if old:
            folder = "finished" if ended else "active"
            os.utime(self.data_dir / folder / f"{run.id}.jsonl", (LONG_AGO, LONG_AGO))
        return run.id

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


@pytest.fixture
async def services(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Services]:
    services = Services(tmp_path, limits=getattr(request, "param", LIMITS))
    yield services
    await services.outbox.close()
    await services.store.close()


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
    assert [run.id for run in await services.store.page()] == [waiting, new]
    assert [email.run_id for email in await services.outbox.emails()] == [waiting, new]


@pytest.mark.parametrize("services", [Limits(emails_listed=2)], indirect=True)
async def test_older_emails_are_listed_when_newer_ones_were_removed(services: Services) -> None:
    new = await services.make(old=False)
    old = [await services.make() for _ in range(2)]
    assert {email.run_id for email in await services.outbox.emails()} == {*old}
    await services.pruning().prune(nine_days_ago())
    assert [email.run_id for email in await services.outbox.emails()] == [new]


async def test_without_keep_days_nothing_is_removed(services: Services) -> None:
    old = await services.make()
    pruning = services.pruning(keep_days=None)
    pruning.open()
    await pruning.close()
    assert services.traces(old) == all_of(old, "finished")


async def test_a_run_with_a_queued_email_is_kept(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        services = Services(
            tmp_path, SMTPTransport.at(f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        )
        old = await services.make()
        await services.pruning().prune(nine_days_ago())
        assert f"mail/queued/{old}-1-0-0.json" in services.traces(old)
        assert services.store.get(old)
        await services.outbox.close()


@pytest.mark.parametrize("removals", range(4))
async def test_a_run_that_a_crash_left_half_removed_is_removed_later(
    tmp_path: Path, removals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Services(tmp_path)
    old = await first.make()
    left, unlink = removals, Path.unlink

    def unlink_or_crash(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink_or_crash)
        with pytest.raises(Crash):
            await first.pruning().prune(nine_days_ago())
    files = 1 if removals < 2 else 0  # removed after the two files of the email
    assert len(first.traces(old)) == 4 + files - removals
    assert f"finished/{old}.jsonl" in first.traces(old)
    again = Services(tmp_path)
    await again.pruning().prune(nine_days_ago())
    assert again.traces(old) == []
    assert await again.store.page() == []


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
    assert [run.id for run in await services.store.page()] == [new]
    assert [email.run_id for email in await services.outbox.emails()] == [new]


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


async def test_other_tasks_run_while_runs_are_removed(services: Services) -> None:
    for _ in range(3):
        await services.make()
    content = b"{}"
    for _ in range(3_000):
        for folder, name in (("finished", "{}.jsonl"), ("mail/done", "{}-1-0-0.json")):
            path = services.data_dir / folder / name.format(ULID())
            path.write_bytes(content)
            os.utime(path, (LONG_AGO, LONG_AGO))
    pruning = asyncio.create_task(services.pruning().prune(nine_days_ago()))
    turns = 0
    while not pruning.done():
        await asyncio.sleep(0)
        turns += 1
    await pruning
    assert os.listdir(services.data_dir / "finished") == []
    assert turns > 3_000 / LIMITS.pruned_at_once
