"""Finished runs go after some days, with all that belongs to them, and nothing else does."""

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
from jupyter_pdflow.engine.scheduler import Pruning
from jupyter_pdflow.mail.outbox import Mailbox
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores.tinydb.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.engine.support import until
from tests.rules.support import START, workflow

LONG_AGO = time.time() - 10 * 86_400


class Crash(BaseException):
    """Ends the test's server where it stands."""


def nine_days_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=9)


class Services:
    """A store, a mailbox and files in one data directory; runs in it are made old."""

    def __init__(
        self, data_dir: Path, post: SMTPTransport | None = None, limits: Limits = LIMITS
    ) -> None:
        self.limits = limits
        self.data_dir = data_dir
        self.store = TinyDBStore(data_dir)
        list(self.store.active())
        self.folders = RunFolders(data_dir / FILES)
        self.mailbox = Mailbox(
            data_dir, post, mail_from="a@b", mail_to=["c@d"], clock=utc_now, limits=limits
        )

    def pruning(self, keep_days: float | None = 9) -> Pruning:
        return Pruning(
            self.store,
            self.mailbox,
            self.folders,
            keep_days=keep_days,
            clock=utc_now,
            limits=self.limits,
        )

    async def make(self, *, ended: bool = True, old: bool = True) -> str:
        run = new_run(str(ULID()), workflow("a"), None, datetime.now(UTC)).run
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
        await self.mailbox.accept([email])
        if ended:
            await self.store.finish(apply(run, Cancel(by="api"), START).run)
        if old:
            folder = "finished" if ended else "active"
            os.utime(self.data_dir / folder / f"{run.id}.json", (LONG_AGO, LONG_AGO))
        return run.id

    def traces(self, run_id: str) -> list[str]:
        # os.walk bears folders that go meanwhile.
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
    await services.mailbox.close()


def all_of(run_id: str, folder: str) -> list[str]:
    mails = [f"mail/{run_id}-1-0-0.eml", f"mail/done/{run_id}-1-0-0.json"]
    return sorted([f"{folder}/{run_id}.json", *mails, f"outputs/{run_id}.json", f"files/{run_id}"])


async def test_old_finished_runs_go_with_all_that_is_theirs(services: Services) -> None:
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
    assert [email.run_id for email in await services.mailbox.emails()] == [waiting, new]


@pytest.mark.parametrize("services", [Limits(emails_listed=2)], indirect=True)
async def test_older_mails_are_listed_when_newer_ones_are_gone(services: Services) -> None:
    new = await services.make(old=False)
    old = [await services.make() for _ in range(2)]
    assert {email.run_id for email in await services.mailbox.emails()} == {*old}
    await services.pruning().prune(nine_days_ago())
    assert [email.run_id for email in await services.mailbox.emails()] == [new]


async def test_without_keep_days_all_stays(services: Services) -> None:
    old = await services.make()
    pruning = services.pruning(keep_days=None)
    pruning.open()
    await pruning.close()
    assert services.traces(old) == all_of(old, "finished")


async def test_a_run_with_a_mail_to_deliver_waits_for_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        services = Services(
            tmp_path, SMTPTransport.at(f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        )
        old = await services.make()
        await services.pruning().prune(nine_days_ago())
        assert f"mail/queued/{old}-1-0-0.json" in services.traces(old)
        assert services.store.get(old)
        await services.mailbox.close()


@pytest.mark.parametrize("removals", range(4))
async def test_what_a_crash_left_half_removed_goes_at_the_next_look(
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
    files = 1 if removals < 2 else 0  # they go after the two of the mail
    assert len(first.traces(old)) == 4 + files - removals
    assert f"finished/{old}.json" in first.traces(old)
    again = Services(tmp_path)
    await again.pruning().prune(nine_days_ago())
    assert again.traces(old) == []
    assert await again.store.page() == []


async def test_files_go_and_nothing_that_they_link_to(services: Services, tmp_path: Path) -> None:
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
async def test_many_go_in_pieces(services: Services) -> None:
    old = [await services.make() for _ in range(5)]
    new = await services.make(old=False)
    pruning = services.pruning()
    pruning.open()
    await until(lambda: not any(services.traces(run_id) for run_id in old))
    await pruning.close()
    assert [run.id for run in await services.store.page()] == [new]
    assert [email.run_id for email in await services.mailbox.emails()] == [new]


@pytest.mark.parametrize("services", [Limits(pruning_seconds=0.01)], indirect=True)
async def test_trouble_with_the_disk_is_told_and_tried_again(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    finished, outputs = services.data_dir / "finished", services.data_dir / "outputs"
    stuck, mailed, other = [await services.make() for _ in range(3)]
    blocked = [outputs / f"{stuck}.json", services.data_dir / "mail" / f"{mailed}-1-0-0.eml"]
    for path in blocked:
        path.unlink()
        path.mkdir()  # can't be removed as a file
    pruning = services.pruning()
    pruning.open()
    await until(lambda: "can't be removed; trying again later" in caplog.text)
    await until(lambda: not services.traces(other))
    assert sorted(os.listdir(finished)) == [f"{run_id}.json" for run_id in (stuck, mailed)]
    for path in blocked:
        path.rmdir()
    await until(lambda: not os.listdir(finished))
    await pruning.close()


async def test_the_event_loop_goes_on(services: Services) -> None:
    for _ in range(3):
        await services.make()
    content = b"{}"
    for _ in range(3_000):
        for folder, name in (("finished", "{}.json"), ("mail/done", "{}-1-0-0.json")):
            path = services.data_dir / folder / name.format(ULID())
            path.write_bytes(content)
            os.utime(path, (LONG_AGO, LONG_AGO))
    pruning = asyncio.create_task(services.pruning().prune(nine_days_ago()))
    locks = 0
    while not pruning.done():
        await asyncio.sleep(0)
        locks += 1
    await pruning
    assert os.listdir(services.data_dir / "finished") == []
    assert locks > 3_000 / LIMITS.pruned_at_once
