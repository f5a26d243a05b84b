"""Emails are taken over once from the runs that ask for them, whatever comes in between."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.settings import Limits
from jupyter_pdflow.stores import Email, RunQuery
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.stores.tinydb.conftest import SOON, OpenStore, Reopen
from tests.stores.tinydb.support import canceled, commit, failing, make, message, run_of
from tests.waiting import until

LATER = timedelta(minutes=1)


async def make_asking(store: TinyDBStore, *subjects: str, ended: bool = False) -> Run:
    """Store a run whose outcome asks for emails."""
    run = run_of()
    outbox = [message(run.id, number, subject=s) for number, s in enumerate(subjects)]
    run = replace(canceled(run) if ended else run, outbox=outbox)
    return await store.create(run)


def subjects(emails: list[Email]) -> list[str]:
    return [email.subject for email in emails]


async def due(store: TinyDBStore) -> list[Email]:
    """Return all emails that are due now; they are due again in a minute."""
    now = datetime.now(UTC)
    return await store.due_emails(now, 100, now + LATER)


async def all_due(store: TinyDBStore, count: int) -> list[str]:
    """Wait until so many emails have been due, and return their subjects in order."""
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += subjects(await due(store))
            await asyncio.sleep(0.01)
    return sorted(found)


class TestTakingOver:
    async def test_emails_of_a_commit_are_queued_and_due_at_once(self, reopen: Reopen) -> None:
        store = await reopen()
        run = await make_asking(store, "first", "second")
        for again in (False, True):
            store = await reopen() if again else store
            assert await store.get(run.id) == replace(run, outbox=[])
            assert sorted(subjects(await due(store))) == ["first", "second"]
            assert await due(store) == []
        next_at = await store.next_email_at()
        assert next_at is not None
        assert next_at > datetime.now(UTC)
        email = await store.email(f"{run.id}-1-0-0")
        assert (email.run_id, email.step, email.status) == (run.id, "a", "queued")
        assert (email.subject, email.to, email.attempts) == ("first", ["a@example.org"], 0)

    async def test_an_email_is_taken_over_once(self, reopen: Reopen) -> None:
        store = await reopen()
        run = await make_asking(store, "first")
        (email,) = await due(store)
        await store.put_email(replace(email, status="sent"), None)
        for _ in range(2):
            async with store.transaction(run.id) as transaction:
                again = replace(run, crashes=transaction.run.crashes + 1)
                again = replace(again, outbox=[*run.outbox, message(run.id, 1)])
                await transaction.commit(again)
            store = await reopen()  # the last line of the run still has both
        assert [found.id for found in await due(store)] == [f"{run.id}-1-0-1"]
        assert len(await store.emails(100)) == 2

    async def test_emails_are_taken_over_after_a_crash(
        self, reopen: Reopen, open_store: OpenStore, tmp_path: Path
    ) -> None:
        store = await reopen()
        paused, ended = await make_asking(store, "paused"), await make_asking(store, "ended")
        copy = Path(shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-copy")))
        for path in (copy / "mail" / "queued").iterdir():
            path.unlink()
        ended = replace(canceled(ended), outbox=ended.outbox)
        store = await open_store(copy)
        assert subjects(sorted(await due(store), key=lambda email: email.id)) == ["paused", "ended"]
        await commit(store, ended)
        assert await store.get(paused.id) == replace(paused, outbox=[])
        assert os.listdir(copy / "finished") == [f"{ended.id}.jsonl"]

    async def test_an_email_without_a_valid_id_is_dropped(
        self, reopen: Reopen, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = await reopen()
        run = run_of()
        good = message(run.id)
        ids = ["../../pwn", "\0", "x" * 300, "r-1-0-0"]
        outbox = [*(replace(good, id=email_id) for email_id in ids), good]
        await store.create(replace(run, outbox=outbox))
        assert [email.id for email in await due(store)] == [good.id]
        assert caplog.text.count("has no valid id") == 4
        assert not list(tmp_path.parent.glob("pwn*"))


def of_store(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the store has logged; its index meets the same error when it writes."""
    return [record for record in caplog.records if not record.name.endswith(".index")]


class TestFailingDisk:
    """While emails can't be stored, outcomes are, and what follows from them comes later."""

    async def test_emails_are_taken_over_and_runs_archived_once_it_works(
        self, reopen: Reopen, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "jupyter_pdflow")
        store = await reopen()
        paused, ended = await make(store), await make(store)
        outbox = [message(paused.id, 0, subject="first"), message(paused.id, 1, subject="second")]
        paused = replace(paused, outbox=outbox)
        ended = replace(canceled(ended), outbox=[message(ended.id, subject="third")])
        await store.counts()  # the index is open then, which takes a sync
        with failing("fsync"):
            for run in (paused, ended):
                await commit(store, run)
                assert await store.get(run.id) == run
            logged = of_store(caplog)
            await asyncio.sleep(10 * SOON.storage_retry_seconds)
            assert of_store(caplog) == logged
            assert logged[-1].levelname == "ERROR"
            assert "No space left on device" in logged[-1].message
            assert await store.emails(100) == []
            assert os.listdir(tmp_path / "finished") == []
            found = {run.id: run.status for run in await store.list(RunQuery())}
            assert found == {ended.id: "canceled", paused.id: "queued"}
        await until(lambda: os.listdir(tmp_path / "finished"))
        assert await all_due(store, 3) == ["first", "second", "third"]
        assert await store.get(ended.id) == replace(ended, outbox=[])
        assert await store.get(paused.id) == replace(paused, outbox=[])
        assert os.listdir(tmp_path / "active") == [f"{paused.id}.jsonl"]

    async def test_an_outcome_keeps_the_emails_of_the_one_before(self, reopen: Reopen) -> None:
        store = await reopen()
        run = await make(store)
        with failing("fsync"):
            await commit(store, replace(run, outbox=[message(run.id, subject="first")]))
            async with store.transaction(run.id) as transaction:
                outbox = [*transaction.run.outbox, message(run.id, 1, subject="second")]
                await transaction.commit(replace(run, outbox=outbox))
        assert await all_due(store, 2) == ["first", "second"]

    async def test_they_are_taken_over_at_the_close(self, reopen: Reopen, tmp_path: Path) -> None:
        store = await reopen()
        run = await make(store)
        with failing("fsync"):
            await commit(store, replace(canceled(run), outbox=[message(run.id)]))

        def check() -> None:
            assert os.listdir(tmp_path / "mail" / "queued") == [f"{run.id}-1-0-0.json"]
            assert os.listdir(tmp_path / "finished") == [f"{run.id}.jsonl"]

        await reopen(check)

    async def test_they_are_taken_over_after_a_restart(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        paused, ended = await make(store), await make(store)
        with ExitStack() as fault:
            fault.enter_context(failing("fsync"))
            await commit(store, replace(paused, outbox=[message(paused.id, subject="first")]))
            outbox = [message(ended.id, subject="second")]
            await commit(store, replace(canceled(ended), outbox=outbox))

            def repair() -> None:
                assert os.listdir(tmp_path / "mail" / "queued") == []
                fault.close()

            store = await reopen(repair)
        assert sorted(subjects(await due(store))) == ["first", "second"]
        assert os.listdir(tmp_path / "active") == [f"{paused.id}.jsonl"]
        assert os.listdir(tmp_path / "finished") == [f"{ended.id}.jsonl"]

    async def test_a_store_that_starts_while_they_fail_takes_them_over_later(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        run = await make(store)
        with failing("replace", ".json.tmp"):
            outbox = [message(run.id, subject="first")]
            await commit(store, replace(canceled(run), outbox=outbox))
            store = await reopen()
            assert (await store.get(run.id)).outbox == outbox
        await until(lambda: os.listdir(tmp_path / "finished"))
        assert subjects(await due(store)) == ["first"]

    async def test_a_run_whose_file_can_not_be_moved_is_archived_later(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        run = await make(store)
        ended = replace(canceled(run), outbox=[message(run.id, subject="first")])
        with failing("replace", ".jsonl"):
            await commit(store, ended)
            assert subjects(await due(store)) == ["first"]
            assert (await store.get(run.id)).status == "canceled"
            assert os.listdir(tmp_path / "finished") == []
        await until(lambda: os.listdir(tmp_path / "finished"))
        assert subjects(await store.emails(100)) == ["first"]
        assert await due(store) == []
        store = await reopen()
        assert await store.get(run.id) == replace(ended, outbox=[])

    async def test_a_run_is_deleted_before_its_emails_are_taken_over(
        self, reopen: Reopen, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = await reopen()
        run, other = await make(store), await make(store)
        await store.counts()  # the index is open then, which takes a sync
        with failing("fsync"):
            for each in (run, other):
                await commit(store, replace(canceled(each), outbox=[message(each.id)]))
            assert await store.delete([run.id]) == {}
        await until(lambda: os.listdir(tmp_path / "finished"))
        assert [email.run_id for email in await due(store)] == [other.id]
        assert [found.id for found in await store.list(RunQuery())] == [other.id]
        assert "can't be taken over" not in caplog.text


class TestDelivery:
    async def test_an_attempt_that_failed_is_due_later(self, reopen: Reopen) -> None:
        store = await reopen()
        await make_asking(store, "first")
        (email,) = await due(store)
        later = datetime.now(UTC) + timedelta(hours=1)
        await store.put_email(replace(email, attempts=1, error="451 busy"), later)
        assert await store.next_email_at() == later
        assert (await store.email(email.id)).error == "451 busy"
        # Another server may be configured now.
        assert [found.attempts for found in await due(await reopen())] == [1]

    @pytest.mark.parametrize("status", ["sent", "failed", "kept"])
    async def test_an_email_that_is_done_moves(
        self, reopen: Reopen, tmp_path: Path, status: str
    ) -> None:
        store = await reopen()
        await make_asking(store, "first")
        (email,) = await due(store)
        done = replace(email, status=status, attempts=1)
        await store.put_email(done, datetime.now(UTC))
        for again in (False, True):
            store = await reopen() if again else store
            assert await store.email(email.id) == done
            assert await store.emails(100) == [done]
            assert await store.next_email_at() is None
        assert os.listdir(tmp_path / "mail" / "queued") == []

    async def test_the_result_counts_if_a_crash_left_both_files(
        self, reopen: Reopen, tmp_path: Path
    ) -> None:
        store = await reopen()
        await make_asking(store, "first")
        (email,) = await due(store)
        path = tmp_path / "mail" / "queued" / f"{email.id}.json"
        content = path.read_bytes()
        await store.put_email(replace(email, status="sent"), None)
        path.write_bytes(content)
        store = await reopen()
        assert await due(store) == []
        assert (await store.email(email.id)).status == "sent"
        assert not path.exists()

    async def test_emails_of_a_deleted_run_are_gone(self, reopen: Reopen, tmp_path: Path) -> None:
        store = await reopen()
        run = await make_asking(store, "queued", "done", ended=True)
        queued, done = sorted(await due(store), key=lambda email: email.id)
        await store.put_email(replace(done, status="kept"), None)
        (tmp_path / "mail" / f"{done.id}.eml").touch()
        assert await store.delete([run.id]) == {}
        await store.put_email(replace(queued, status="sent"), None)  # its attempt ends too late
        assert await store.emails(100) == []
        assert await store.next_email_at() is None
        left = [name for _, _, names in os.walk(tmp_path) for name in names if run.id in name]
        assert left == []

    async def test_a_damaged_file_is_set_aside_and_others_are_due(
        self, reopen: Reopen, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = await reopen()
        run = await make_asking(store, "first", "second")
        path = tmp_path / "mail" / "queued" / f"{run.id}-1-0-0.json"
        path.write_bytes(b"{")
        assert subjects(await due(store)) == ["second"]
        assert path.with_name(f"{path.name}.unreadable").exists()
        assert f"{path.name} is not JSON" in caplog.text
        assert await due(store) == []


class TestLists:
    async def test_emails_are_listed_newest_first(self, reopen: Reopen) -> None:
        store = await reopen()
        for name in ("first", "second", "third"):
            await make_asking(store, name)
        for again in (False, True):
            store = await reopen() if again else store
            assert subjects(await store.emails(100)) == ["third", "second", "first"]
            assert subjects(await store.emails(2)) == ["third", "second"]

    async def test_a_list_ends_when_its_texts_are_large(self, tmp_path: Path) -> None:
        store = TinyDBStore(tmp_path, limits=Limits(emails_listed_bytes=1_000))
        await store.open()
        run = await make(store)
        for number in range(3):
            outbox = [message(run.id, number, text="x" * 900, html="<p>")]
            await commit(store, replace(run, crashes=number, outbox=outbox))
        assert [email.id for email in await store.emails(100)] == [f"{run.id}-1-0-2"]
        await commit(store, replace(run, outbox=[message(run.id, 3, text="x")]))
        ids = [email.id for email in await store.emails(100)]
        assert ids == [f"{run.id}-1-0-3", f"{run.id}-1-0-2"]
        await store.close()

    async def test_a_damaged_file_does_not_hide_other_emails(
        self, reopen: Reopen, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = await reopen()
        run = await make_asking(store, "first", "second")
        for email in await due(store):
            await store.put_email(replace(email, status="kept"), None)
        (tmp_path / "mail" / "done" / f"{run.id}-1-0-0.json").write_bytes(b"{")
        assert subjects(await store.emails(100)) == ["second"]
        assert f"{run.id}-1-0-0.json is not JSON" in caplog.text
        assert subjects(await (await reopen()).emails(100)) == ["second"]

    @pytest.mark.parametrize("email_id", ["nope", "../done/r-1-0-1", "", "\0", "x" * 300])
    async def test_an_unknown_email(self, reopen: Reopen, email_id: str) -> None:
        store = await reopen()
        with pytest.raises(NotFoundError, match="There is no email"):
            await store.email(email_id)
