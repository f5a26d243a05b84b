"""Finished runs go after some days, with all that belongs to them, and nothing else does."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ulid import ULID

from jupyter_pdflow.engine import mailbox as mailbox_module
from jupyter_pdflow.engine import pruning as pruning_module
from jupyter_pdflow.engine.mailbox import Mailbox
from jupyter_pdflow.engine.post import Post
from jupyter_pdflow.engine.pruning import AT_ONCE, Pruning
from jupyter_pdflow.engine.timers import utc_now
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.moves import apply, new_run
from jupyter_pdflow.rules.run import Letter, Mail
from jupyter_pdflow.store.folders import FILES, RunFolders
from jupyter_pdflow.store.tinydb_store import TinyDBStore
from tests.engine.support import until
from tests.rules.support import START, workflow

log = logging.getLogger("test")
LONG_AGO = time.time() - 10 * 86_400


class Crash(BaseException):
    """Ends the test's server where it stands."""


def nine_days_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=9)


class House:
    """A store, a mailbox and files in one data directory; runs in it are made old."""

    def __init__(self, data_dir: Path, post: Post | None = None) -> None:
        self.data_dir = data_dir
        self.store = TinyDBStore(data_dir, log)
        list(self.store.active())
        self.folders = RunFolders(data_dir / FILES, log)
        self.mailbox = Mailbox(
            data_dir, post, mail_from="a@b", mail_to=["c@d"], clock=utc_now, log=log
        )

    def pruning(self, keep_days: float | None = 9) -> Pruning:
        return Pruning(
            self.store, self.mailbox, self.folders, keep_days=keep_days, clock=utc_now, log=log
        )

    async def make(self, *, ended: bool = True, old: bool = True) -> str:
        run = new_run(str(ULID()), workflow("a"), None, datetime.now(UTC)).run
        await self.store.put(run)
        await self.store.put_outputs(run.id, "a", 1, [{"output_type": "stream", "text": "t"}])
        (self.data_dir / FILES / run.id / "sub").mkdir(parents=True)
        letter = Letter(
            id=f"{run.id}-1-0-0", run_id=run.id, step="a", created_at=START, mail=Mail(subject="s")
        )
        await self.mailbox.accept([letter])
        if ended:
            await self.store.finish(apply(run, Cancel(by="api"), START).run)
        if old:
            folder = "finished" if ended else "active"
            os.utime(self.data_dir / folder / f"{run.id}.json", (LONG_AGO, LONG_AGO))
        return run.id

    def traces(self, run_id: str) -> list[str]:
        return sorted(
            str(path.relative_to(self.data_dir)) for path in self.data_dir.rglob(f"{run_id}*")
        )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.mailbox.close()


def all_of(run_id: str, folder: str) -> list[str]:
    mails = [f"mail/{run_id}-1-0-0.eml", f"mail/done/{run_id}-1-0-0.json"]
    return sorted([f"{folder}/{run_id}.json", *mails, f"outputs/{run_id}.json", f"files/{run_id}"])


async def test_old_finished_runs_go_with_all_that_is_theirs(house: House) -> None:
    old, new, waiting = (
        await house.make(),
        await house.make(old=False),
        await house.make(ended=False),
    )
    await house.pruning().prune(nine_days_ago())
    assert house.traces(old) == []
    assert house.traces(new) == all_of(new, "finished")
    assert house.traces(waiting) == all_of(waiting, "active")
    assert [run.id for run in await house.store.page()] == [waiting, new]
    assert [letter.run_id for letter in await house.mailbox.letters()] == [waiting, new]


async def test_older_mails_are_listed_when_newer_ones_are_gone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_module, "LISTED", 2)
    new = await house.make(old=False)
    old = [await house.make() for _ in range(2)]
    assert {letter.run_id for letter in await house.mailbox.letters()} == {*old}
    await house.pruning().prune(nine_days_ago())
    assert [letter.run_id for letter in await house.mailbox.letters()] == [new]


async def test_without_keep_days_all_stays(house: House) -> None:
    old = await house.make()
    pruning = house.pruning(keep_days=None)
    pruning.open()
    await pruning.close()
    assert house.traces(old) == all_of(old, "finished")


async def test_a_run_with_a_mail_to_deliver_waits_for_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        house = House(tmp_path, Post.at(f"smtp://127.0.0.1:{silent.getsockname()[1]}"))
        old = await house.make()
        await house.pruning().prune(nine_days_ago())
        assert f"mail/queued/{old}-1-0-0.json" in house.traces(old)
        assert house.store.get(old)
        await house.mailbox.close()


@pytest.mark.parametrize("removals", range(4))
async def test_what_a_crash_left_half_removed_goes_at_the_next_look(
    tmp_path: Path, removals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = House(tmp_path)
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
    again = House(tmp_path)
    await again.pruning().prune(nine_days_ago())
    assert again.traces(old) == []
    assert await again.store.page() == []


async def test_files_go_and_nothing_that_they_link_to(house: House, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis").write_text("years of work")
    linking, linked, locked = [await house.make() for _ in range(3)]
    (house.data_dir / FILES / linking / "out").symlink_to(mine)
    (house.data_dir / FILES / linking / "file").symlink_to(mine / "thesis")
    (house.data_dir / FILES / linked / "sub").rmdir()
    (house.data_dir / FILES / linked).rmdir()
    (house.data_dir / FILES / linked).symlink_to(mine)
    (house.data_dir / FILES / locked / "sub" / "file").touch()
    (house.data_dir / FILES / locked / "sub").chmod(0o500)
    await house.pruning().prune(nine_days_ago())
    assert [run for run in (linking, linked, locked) if house.traces(run)] == []
    assert (mine / "thesis").read_text() == "years of work"


async def test_many_go_in_pieces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning_module, "AT_ONCE", 2)
    old = [await house.make() for _ in range(5)]
    new = await house.make(old=False)
    pruning = house.pruning()
    pruning.open()
    await until(lambda: not any(house.traces(run_id) for run_id in old))
    await pruning.close()
    assert [run.id for run in await house.store.page()] == [new]
    assert [letter.run_id for letter in await house.mailbox.letters()] == [new]


async def test_trouble_with_the_disk_is_told_and_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pruning_module, "PRUNE_EVERY", 0.01)
    finished, outputs = house.data_dir / "finished", house.data_dir / "outputs"
    stuck, mailed, other = [await house.make() for _ in range(3)]
    blocked = [outputs / f"{stuck}.json", house.data_dir / "mail" / f"{mailed}-1-0-0.eml"]
    for path in blocked:
        path.unlink()
        path.mkdir()  # can't be removed as a file
    pruning = house.pruning()
    pruning.open()
    await until(lambda: "can't be removed; trying again later" in caplog.text)
    await until(lambda: not house.traces(other))
    assert sorted(os.listdir(finished)) == [f"{run_id}.json" for run_id in (stuck, mailed)]
    for path in blocked:
        path.rmdir()
    await until(lambda: not os.listdir(finished))
    await pruning.close()


async def test_the_event_loop_goes_on(house: House) -> None:
    for _ in range(3):
        await house.make()
    content = b"{}"
    for _ in range(3_000):
        for folder, name in (("finished", "{}.json"), ("mail/done", "{}-1-0-0.json")):
            path = house.data_dir / folder / name.format(ULID())
            path.write_bytes(content)
            os.utime(path, (LONG_AGO, LONG_AGO))
    pruning = asyncio.create_task(house.pruning().prune(nine_days_ago()))
    turns = 0
    while not pruning.done():
        await asyncio.sleep(0)
        turns += 1
    await pruning
    assert os.listdir(house.data_dir / "finished") == []
    assert turns > 3_000 / AT_ONCE
