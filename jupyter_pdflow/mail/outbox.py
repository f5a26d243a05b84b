"""The outbox: delivers the queued emails of a store by SMTP, or keeps them as files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec.structs import replace

from jupyter_pdflow.clock import DueLoop
from jupyter_pdflow.exceptions import (
    NotFailedError,
    PDFlowError,
    StorageUnavailableError,
    UndeliverableError,
)
from jupyter_pdflow.mail.asks import with_text
from jupyter_pdflow.mail.smtp import (
    Envelope,
    SMTPTransport,
    delivered,
    envelope_of,
    undelivered,
)
from jupyter_pdflow.rules.pauses import AskEmail
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import Email
from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.threads import in_thread

logger = logging.getLogger(__name__)

LONGEST_RETRY = timedelta(hours=1)
"""Maximum time between two attempts to deliver an email."""

GIVE_UP_AFTER = timedelta(days=3)
"""Age of an email from which a failed attempt is the last one."""

SENDING_AT_ONCE = 4
"""Maximum number of emails that are being sent at a time."""

KEPT_SECONDS = 0.5
"""Maximum time that a list of emails waits until new ones are kept as files."""

LONGEST_ATTEMPT = timedelta(minutes=30)
"""Time after which an email is due again whose attempt has not ended."""


LinksFor: TypeAlias = Callable[[str, str, int, str], tuple[str, str]]


class Outbox:
    """Delivers the queued emails of a store.

    A failed delivery is tried again after 5 s, 10 s, 20 s … up to an hour, for three days.

    Parameters
    ----------
    store : Store
        The emails.
    transport : SMTPTransport or None
        Sends emails, or None to have the store keep them as messages.
    mail_from : str
        The sender of all emails.
    mail_to : list of str
        The recipients of emails that name none.
    clock : callable
        Returns the current time.
    links_for : callable
        Returns the personal resume and cancel URL of (run id, step, execution, address).
    delivers : bool
        False if another process that uses the store delivers the emails.
    limits : Limits
        How soon delivery is tried again.

    Attributes
    ----------
    on_answered : callable
        Called with an email to an approver that was sent or can't be, before that is stored.
    """

    def __init__(
        self,
        store: Store,
        transport: SMTPTransport | None,
        *,
        mail_from: str,
        mail_to: list[str],
        clock: Callable[[], datetime],
        links_for: LinksFor,
        delivers: bool = True,
        limits: Limits = LIMITS,
    ) -> None:
        self._store = store
        self._delivers = delivers
        self._transport = transport
        self._from = mail_from
        self._to = mail_to
        self._clock = clock
        self._limits = limits
        self._links_for = links_for
        self.on_answered: Callable[[Email, AskEmail], Awaitable[None]] = _ignore
        self._first_retry = timedelta(seconds=limits.email_retry_seconds)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._one_ended = asyncio.Event()
        self._loop = DueLoop(
            "deliver emails", store.next_email_at, self._deliver_due, clock, limits=limits
        )

    def open(self) -> None:
        """Start to deliver."""
        if self._delivers:
            self._loop.open()

    async def close(self) -> None:
        """Stop delivering. Emails that are queued stay queued."""
        await self._loop.close()
        for task in self._sending.values():
            task.cancel()
        await asyncio.gather(*self._sending.values(), return_exceptions=True)

    async def retry(self, email: Email) -> Email:
        """Queue an email again that has failed, and return it; `NotFailedError` if it has not."""
        if email.status != "failed":
            msg = f"Email {email.id} is {email.status}; only one that has failed is sent again."
            raise NotFailedError(msg)
        delivered = {address: why for address, why in email.answers.items() if why is None}
        email = replace(email, status="queued", error=None, attempts=0, answers=delivered)
        await self._store.requeue_email(email, self._clock())
        self.wake()
        return email

    def wake(self) -> None:
        """Note that there are new emails."""
        self._loop.wake(self._clock())

    async def wait_kept(self) -> None:
        """Wait a short time until new emails are kept as files; don't wait for those to be sent."""
        if self._transport is not None or not self._delivers:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(KEPT_SECONDS):
                while self._sending or await self._is_one_due():
                    self._one_ended.clear()
                    await self._one_ended.wait()

    async def _is_one_due(self) -> bool:
        next_at = await self._store.next_email_at()
        return next_at is not None and next_at <= self._clock()

    async def _deliver_due(self, now: datetime) -> None:
        """Start to deliver emails that are due; wait first if enough are being sent."""
        while len(self._sending) >= SENDING_AT_ONCE:
            self._one_ended.clear()
            await self._one_ended.wait()
        free = SENDING_AT_ONCE - len(self._sending)
        for email in await self._store.due_emails(now, free, now + LONGEST_ATTEMPT):
            if email.id not in self._sending:
                task = asyncio.create_task(self._deliver(email), name=f"deliver {email.id}")
                self._sending[email.id] = task

    async def _deliver(self, email: Email) -> None:
        try:
            email, message = await self._attempt(email)
            if email.ask is not None and email.status != "queued":
                await self._note_answer(email, email.ask)
            next_at = self._clock() + self._wait_after(email.attempts)
            while not await self._is_stored(email, next_at, message):  # noqa: ASYNC110
                # Until the storage takes it: otherwise the email would be sent twice.
                await asyncio.sleep(self._limits.storage_retry_seconds)
            if email.status == "queued":
                self._loop.wake(next_at)
        except Exception:
            logger.exception("Email %s stays queued; it is tried again later.", email.id)
        finally:
            del self._sending[email.id]
            self._one_ended.set()

    async def _note_answer(self, email: Email, ask: AskEmail) -> None:
        """Have it noted whether an approver's email could be sent.

        Raises
        ------
        StorageUnavailableError
            The email has failed, and that can't be noted now: it stays queued and is sent again.
        """
        try:
            await self.on_answered(email, ask)
        except PDFlowError as error:
            if email.status == "failed" and isinstance(error, StorageUnavailableError):
                raise
            logger.error("Email %s is %s; that can't be noted: %s", email.id, email.status, error)

    def _wait_after(self, attempts: int) -> timedelta:
        doublings = min(attempts - 1, 20)  # more would overflow; the longest wait is reached
        return min(self._first_retry * (1 << doublings), LONGEST_RETRY)

    async def _is_stored(self, email: Email, next_at: datetime, message: bytes | None) -> bool:
        """Store an email after an attempt; return whether the storage has taken it."""
        try:
            await self._store.put_email(email, next_at, message)
        except StorageUnavailableError:
            return False
        return True

    def _envelope(self, email: Email) -> Envelope:
        """Write an email, with its links if it is to an approver: they are not stored; for a thread."""
        ask = email.ask
        if ask is not None:
            links = self._links_for(email.run_id, email.step, ask.execution, ask.person)
            email = with_text(email, ask, *links)
        return envelope_of(email, self._from)

    async def _attempt(self, email: Email) -> tuple[Email, bytes | None]:
        """Send an email; return it as it is then, and as a message if it is to be kept."""
        email = replace(email, to=email.to or self._to, attempts=email.attempts + 1)
        late = self._clock() - email.created_at > GIVE_UP_AFTER
        try:
            envelope = await in_thread(self._envelope, email)
            if self._transport is None:
                return replace(email, status="kept", error=None), envelope.content
            email = delivered(email, envelope, await self._transport.send(envelope), late=late)
        except UndeliverableError as error:
            email = undelivered(email, error, late=late)
        if email.error is not None:
            logger.warning("Email %s was not delivered: %s", email.id, email.error)
        return email, None


async def _ignore(email: Email, ask: AskEmail) -> None:
    del email, ask
