"""The mails that steps have asked for: kept until they are delivered, and afterwards."""

from __future__ import annotations

import asyncio
import logging
import os
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from heapq import nlargest
from pathlib import Path
from typing import NamedTuple, cast

from msgspec.structs import replace

from jupyter_pdflow.clock import Timers
from jupyter_pdflow.exceptions import NotFoundError, StoredFileError, UndeliverableError
from jupyter_pdflow.mail.message import (
    EMAIL,
    Email,
    delivered,
    parcel_of,
    run_of,
    undelivered,
)
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.rules.run import OutboxMessage
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores.tinydb.records import SHOWN, Records
from jupyter_pdflow.stores.tinydb.storage import (
    in_reader,
    in_slices,
    in_thread,
    move_file,
    replace_file,
    sorted_in_turns,
)
from jupyter_pdflow.stores.tinydb.validation import is_email_id, is_id

logger = logging.getLogger(__name__)

LONGEST_RETRY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)
SENDING_AT_ONCE = 4

DONE = "done"
MESSAGE = ".eml"


class EmailFiles(NamedTuple):
    """Which files of mails there are.

    Attributes
    ----------
    waiting : set of str
        The runs that have a mail to deliver.
    names : list of str
        The files of mails that are settled, in order: those of a run are neighbours.
    """

    directory: Path
    waiting: set[str]
    names: list[str]

    def of(self, run_id: str) -> Iterator[Path]:
        """Find the files of a run's settled mails."""
        position = bisect_left(self.names, f"{run_id}-")
        while position < len(self.names) and run_of(self.names[position]) == run_id:
            name = self.names[position]
            yield self.directory / name if name.endswith(MESSAGE) else self.directory / DONE / name
            position += 1


class Mailbox:
    """Keeps mails in ``mail/``: ``queued/`` until they are settled, then ``done/``.

    Delivery is tried again, after 5 s, 10 s, 20 s … up to an hour, for three days.

    Parameters
    ----------
    data_dir : Path
        The data directory.
    post : Post or None
        Delivers mails; without it they are kept as ``.eml`` files.
    mail_from : str
        The sender of all mails.
    mail_to : list of str
        Who gets the mails that name no recipient.
    limits : Limits
        How soon delivery is tried again, and how many emails a list shows.
    """

    def __init__(
        self,
        data_dir: Path,
        post: SMTPTransport | None,
        *,
        mail_from: str,
        mail_to: list[str],
        clock: Callable[[], datetime],
        limits: Limits = LIMITS,
    ) -> None:
        self._limits = limits
        self._first_retry = timedelta(seconds=limits.email_retry_seconds)
        self._queued = Records(data_dir / "mail" / "queued", EMAIL)
        self._done = Records(data_dir / "mail" / DONE, EMAIL)
        self._directory = data_dir / "mail"
        self._transport = post
        self._from = mail_from
        self._to = mail_to
        self._clock = clock
        self._timers = Timers(self._on_due, clock, limits=limits)
        self._due: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._newest: dict[str, None] = {}
        self._listed = False
        self._listing = asyncio.Lock()

    async def open(self) -> None:
        """Take up what is queued: deliver it, or keep it where no server is configured now."""
        async for email in in_slices(self._queued.all()):
            if self._transport is not None:
                self._timers.set(email.id, self._clock())
                continue
            try:
                await self._keep(email)
                self._queued.path(email.id).unlink()
            except OSError as error:
                logger.error("Mail %s stays queued until the next start: %s", email.id, error)

    async def close(self) -> None:
        """Stop delivering; what is queued stays queued."""
        self._timers.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def accept(self, emails: list[OutboxMessage]) -> None:
        """Take mails over, durably; one that was taken before is not taken again.

        Raises
        ------
        OSError
            One could not be stored; they may all be handed over again.
        """
        for email in emails:
            if not is_email_id(email.id, email.run_id):
                logger.error("A mail of run %s has no valid id: it is dropped.", email.run_id)
            elif not self._knows(email.id):
                await self._take(self._addressed(email))

    async def emails(self) -> list[Email]:
        """List the newest mails, newest first: as many as the limits say."""
        async with self._listing:
            if not self._listed:
                self._listed = True
                older = await in_reader(self._ids_by_time)
                newer, self._newest = self._newest, dict.fromkeys(older)
                self._note(*newer)
        return await in_reader(self._read_all, list(reversed(self._newest)))

    def email(self, email_id: str) -> Email:
        """Get one mail; `NotFoundError` where there is none."""
        email = self._read(email_id) if is_id(email_id) else None
        if email is None:
            msg = f"There is no mail {email_id[:SHOWN]!r}."
            raise NotFoundError(msg)
        return email

    async def files(self) -> EmailFiles:
        """Look which files of mails there are, to find those of many runs."""
        return await in_reader(self._files)

    def forget_list(self) -> None:
        """Read anew which mails there are when they are listed: some were removed."""
        self._listed = False
        self._newest = {}

    def _files(self) -> EmailFiles:
        waiting = {run_of(email_id) for email_id in self._queued.ids()}
        folders = (self._directory, self._done.directory)
        names = (entry.name for folder in folders for entry in os.scandir(folder))
        return EmailFiles(self._directory, waiting, sorted_in_turns(names))

    def _ids_by_time(self) -> list[str]:
        """List the ids that were written last, oldest first."""
        found = [
            pair
            for box in (self._queued, self._done)
            for pair in box.newest(self._limits.emails_listed)
        ]
        return [email_id for _, email_id in reversed(nlargest(self._limits.emails_listed, found))]

    def _note(self, *letter_ids: str) -> None:
        """Note which mails are the newest ones, the very newest last."""
        for email_id in letter_ids:
            self._newest.pop(email_id, None)
            self._newest[email_id] = None
        for email_id in list(self._newest)[: -self._limits.emails_listed]:
            del self._newest[email_id]

    def _read_all(self, letter_ids: list[str]) -> list[Email]:
        found: list[Email] = []
        size = 0
        for email_id in letter_ids:
            email = self._readable(email_id)
            if email is not None:
                size += len(email.text) + len(email.html or "")
                if found and size > self._limits.emails_listed_bytes:
                    break
                found.append(email)
        return sorted(found, key=lambda email: email.created_at, reverse=True)

    def _knows(self, email_id: str) -> bool:
        return any(box.path(email_id).exists() for box in (self._queued, self._done))

    def _read(self, email_id: str) -> Email | None:
        if self._queued.path(email_id).exists():
            with suppress(StoredFileError):  # settled just now, or damaged
                return self._queued.read(email_id)
        box = self._done if self._done.path(email_id).exists() else self._queued
        return box.read(email_id) if box.path(email_id).exists() else None

    def _readable(self, email_id: str) -> Email | None:
        try:
            return self._read(email_id)
        except StoredFileError as error:
            logger.error("Mail %s can't be shown: %s", email_id, error)
            return None

    def _addressed(self, email: OutboxMessage) -> Email:
        mail = email.email
        return Email(
            id=email.id,
            run_id=email.run_id,
            step=email.step,
            to=mail.to or self._to,
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            created_at=email.created_at,
        )

    async def _take(self, email: Email) -> None:
        if self._transport is None:
            await self._keep(email)
        else:
            await self._queued.put(email.id, email)
            self._timers.set(email.id, self._clock())
        self._note(email.id)

    async def _keep(self, email: Email) -> None:
        """Keep an email as a file where none is sent; one that can't be written has failed."""
        try:
            parcel = await in_thread(parcel_of, email, self._from)
        except UndeliverableError as error:
            logger.warning("Mail %s can't be kept: %s", email.id, error)
            email = undelivered(email, error, late=True)
        else:
            path = self._directory / f"{email.id}{MESSAGE}"
            await in_thread(replace_file, path, parcel.content)
            email = replace(email, status="kept")
        await self._done.put(email.id, email)

    def _on_due(self, email_id: str) -> None:
        self._due.append(email_id)
        if len(self._tasks) < SENDING_AT_ONCE:
            task = asyncio.create_task(self._deliver_due(), name="deliver mails")
            self._tasks.add(task)

    async def _deliver_due(self) -> None:
        try:
            while self._due:
                await self._deliver_or_log(self._due.popleft())
        finally:
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _deliver_or_log(self, email_id: str) -> None:
        try:
            await self._deliver(email_id)
        except Exception:
            logger.exception("Mail %s stays queued until the next start.", email_id)

    async def _deliver(self, email_id: str) -> None:
        email = await self._attempt(self._queued.read(email_id))
        while not await self._store(email):  # noqa: ASYNC110  it waits for room on the disk
            await asyncio.sleep(self._limits.storage_retry_seconds)
        if email.status == "queued":
            wait = min(self._first_retry * 2 ** min(email.attempts - 1, 20), LONGEST_RETRY)
            self._timers.set(email.id, self._clock() + wait)

    async def _store(self, email: Email) -> bool:
        """Store what became of an attempt, if the disk takes it: a mail is not sent twice."""
        try:
            await self._queued.put(email.id, email)
            if email.status != "queued":
                path = self._queued.path(email.id)
                await in_thread(move_file, path, self._done.directory)
        except OSError:
            logger.exception("What became of mail %s can't be stored; retrying.", email.id)
            return False
        return True

    async def _attempt(self, email: Email) -> Email:
        assert self._transport is not None  # noqa: S101  nothing is queued without it
        email = replace(email, attempts=email.attempts + 1)
        late = self._clock() - email.created_at > GIVE_UP_AFTER
        try:
            parcel = await in_thread(parcel_of, email, self._from)
            email = delivered(email, parcel, await self._transport.send(parcel), late=late)
        except UndeliverableError as error:
            email = undelivered(email, error, late=late)
        if email.error is not None:
            logger.warning("Mail %s was not delivered: %s", email.id, email.error)
        return email
