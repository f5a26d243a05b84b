"""The connections to a PostgreSQL database, and its errors as ours."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, LiteralString, NamedTuple
from urllib.parse import quote, urlencode

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from jupyter_pdflow.exceptions import ConflictError, StorageUnavailableError
from jupyter_pdflow.stores.postgres.schema import check_tables

logger = logging.getLogger(__name__)

POOL_NAME = "pdflow"

WAIT_SECONDS = 4.0
"""Maximum time that a request waits for a connection."""

CHECK_SECONDS = 1.0
"""Maximum time in which a connection that was idle has to answer."""

CHECK_AFTER_SECONDS = 0.5
"""Time since its last use after which a connection is checked before its next one."""

USE_SECONDS = 4.5
"""Maximum time that a request uses a connection."""

COMMIT_SECONDS = 1.5
"""Maximum time of a commit; then it is looked up."""

LOOKUP_SECONDS = 3.0
"""Maximum time in which it is looked up what became of a commit."""

RECONNECT_SECONDS = 1.0
"""Maximum time in which a lost connection is replaced, before a request asks for it again."""

LOOKUP_CONNECT_SECONDS = 2
"""Maximum time in which a connection for that is made; the minimum of libpq."""

LOOKUPS_AT_ONCE = 4
"""Maximum number of connections that look up commits."""

XACT_ID = "pg_current_xact_id()::text"
"""What identifies a transaction, in SQL."""

RETRY_SECONDS = 0.2
"""Time between two attempts to ask what became of a transaction."""

CONNECT_SECONDS = 4
"""Maximum time in which a connection is made."""

CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,  # such as a transaction that the server has ended, or a standby
    PoolTimeout,
    TooManyRequests,
)


class Connection(AsyncConnection[tuple[Any, ...]]):
    """A connection that knows when it was used last, as a time of `time.monotonic`."""

    used_at = float("-inf")


class Evidence(NamedTuple):
    """A query that returns a row if a transaction was committed, and none if it was not."""

    statement: LiteralString
    values: tuple[Any, ...]


class Database:
    """A pool of connections to a database.

    Parameters
    ----------
    conninfo : str
        A connection string or URL; it may hold a password, and is in no message.
    max_connections : int
        Maximum number of connections for transactions; one more is reserved for leases, and one
        more listens for changes.

    Attributes
    ----------
    available : bool
        Whether the latest use of the database has succeeded.
    """

    def __init__(self, conninfo: str, *, max_connections: int) -> None:
        self.conninfo = conninfo
        self.available = True
        self._lookups = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._pool = _pool(conninfo, max_connections)
        self._reserved = _pool(conninfo, 1)

    async def open(self) -> None:
        """Connect, and check the tables.

        Raises
        ------
        StorageUnavailableError
            The database can't be reached.
        SchemaError
            Its tables are missing, or of another version.
        """
        await self._pool.open()
        await self._reserved.open()
        async with self.connection() as connection:
            await check_tables(connection)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()
        await self._reserved.close()

    @asynccontextmanager
    async def connection(
        self, *, seconds: float = USE_SECONDS, reserved: bool = False
    ) -> AsyncIterator[Connection]:
        """Lend a connection; its statements are committed one by one.

        Parameters
        ----------
        seconds : float
            Maximum time of its use; then it is cut, as the network may be.
        reserved : bool
            Whether to lend the connection that requests never take, however many there are.

        Raises
        ------
        StorageUnavailableError
            The database can't be reached or used.
        ConflictError
            It has ended a transaction in favor of another one.
        """
        with self._errors():
            pool = self._reserved if reserved else self._pool
            async with pool.connection() as connection:
                with limited(connection, seconds):
                    yield connection
                connection.used_at = time.monotonic()
        self.available = True

    async def commit(
        self, connection: Connection, transaction_id: str, evidence: Evidence | None
    ) -> None:
        """Commit the transaction of a connection; one whose answer is lost is looked up.

        Parameters
        ----------
        connection : Connection
        transaction_id : str
            What `XACT_ID` was in the transaction.
        evidence : Evidence or None
            Finds what the transaction has stored. None if it may be repeated: then it is not looked
            up.

        Raises
        ------
        StorageUnavailableError
            It was not committed; or the database can't be asked, as the message says then.
        """
        try:
            with limited(connection, COMMIT_SECONDS):
                await connection.execute("COMMIT")
        except UNAVAILABLE as error:
            if evidence is None or not await self._was_committed(transaction_id, evidence):
                raise
            logger.warning("A commit was confirmed after %s.", reason_of(error))

    async def _was_committed(self, transaction_id: str, evidence: Evidence) -> bool:
        """Ask the database what became of a transaction.

        Raises
        ------
        StorageUnavailableError
            It can't be asked in time.
        """
        ends = time.monotonic() + LOOKUP_SECONDS
        while time.monotonic() < ends:
            with suppress(TimeoutError, *UNAVAILABLE):
                found = await self._look_up(transaction_id, evidence, ends)
                if found is not None:
                    return found
            await asyncio.sleep(RETRY_SECONDS)
        msg = (
            "The database was lost during a commit: look whether it was made before you repeat it."
        )
        raise StorageUnavailableError(msg)

    @asynccontextmanager
    async def _looking(self, ends: float) -> AsyncIterator[Connection]:
        """Lend a connection until a time of `time.monotonic`, for looking up a commit."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(ends - time.monotonic()):
                await stack.enter_async_context(self._lookups)
                # Not of the pool: all its connections may be held by commits that are looked up.
                # With a timeout of its own: Python 3.11 may lose the cancel by the one above.
                connecting = Connection.connect(
                    self.conninfo,
                    autocommit=True,
                    connect_timeout=LOOKUP_CONNECT_SECONDS,
                    **OPTIONS,
                )
                connection = await stack.enter_async_context(await connecting)
            with limited(connection, max(0.0, ends - time.monotonic())):
                yield connection

    async def _look_up(self, transaction_id: str, evidence: Evidence, ends: float) -> bool | None:
        """Return whether a transaction was committed, or None if it is in progress."""
        async with self._looking(ends) as looking:
            try:
                status = await looking.execute("SELECT pg_xact_status(%s::xid8)", (transaction_id,))
            except psycopg.DataError:
                return False  # an id of the future: a crash has lost the transaction
            if (await one(status))[0] == "in progress":
                return None
            # After a crash, another transaction may have got the same id.
            found = await looking.execute(evidence.statement, evidence.values)
            return await found.fetchone() is not None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except CONFLICTS as error:
            msg = "Another process has changed the same record; try again."
            raise ConflictError(msg) from error
        except UNAVAILABLE as error:
            if self.available:
                self.available = False
                logger.error("The database can't be used: %s", reason_of(error))
            msg = f"The database can't be used: {reason_of(error)}. Nothing was changed."
            raise StorageUnavailableError(msg) from error


def _of_other_pools(record: logging.LogRecord) -> bool:
    return f"'{POOL_NAME}'" not in record.getMessage()


# It logs each of its attempts to connect, several in a second; `Database` logs the first.
logging.getLogger("psycopg.pool").addFilter(_of_other_pools)


OPTIONS: dict[str, Any] = {
    # An answer leaves after the commit is on disk, whatever the server's default is.
    # A process that is stopped in a transaction, or whose network is cut, keeps its row locked.
    "options": "-c synchronous_commit=on -c lock_timeout=4000 -c statement_timeout=30000 "
    "-c idle_in_transaction_session_timeout=10000",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}
"""Settings of each connection; times in milliseconds, of keepalives in seconds."""


def _pool(conninfo: str, max_connections: int) -> AsyncConnectionPool[Connection]:
    return AsyncConnectionPool(
        conninfo,
        connection_class=Connection,
        min_size=1,
        max_size=max_connections,
        timeout=WAIT_SECONDS,
        # Short: a pool that tries longer waits longer and longer between two attempts, also
        # when the database is back; the next request begins anew.
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
        name=POOL_NAME,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS, **OPTIONS},
        check=_check,
    )


ASYNCPG_PARAMETERS = (
    *("user", "password", "passfile", "dbname", "service", "port", "application_name", "options"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("krbsrvname", "gsslib"),
)
"""What asyncpg takes from a URL as libpq does. It sends all other parameters to the server."""


def asyncpg_url(conninfo: str) -> str:
    """Return the URL by which asyncpg connects as psycopg does with a connection string or URL.

    A server refuses the connection if asyncpg sends it a parameter of libpq, such as
    ``connect_timeout``. And asyncpg splits a URL at characters that libpq allows in a password.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value}
    hosts = (given.get("hostaddr") or given.get("host", "")).split(",")
    # With brackets, or asyncpg takes the last part of an IPv6 address for a port.
    bracketed = [f"[{host}]" if ":" in host and host[0] != "/" else host for host in hosts]
    parameters = {name: given[name] for name in ASYNCPG_PARAMETERS if name in given}
    if any(hosts):
        parameters["host"] = ",".join(bracketed)
    return f"postgresql://?{urlencode(parameters, quote_via=quote, safe='')}"


@contextmanager
def limited(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut a connection that is used for too long: whoever waits for it gets an error then.

    A task that is canceled would wait for the database to confirm that, which a cut network delays.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: Connection) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as it:
        it.shutdown(socket.SHUT_RDWR)


def _is_readable(connection: Connection) -> bool:
    """Return whether the server has sent anything, such as that it closes the connection."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _check(connection: Connection) -> None:
    if time.monotonic() < connection.used_at + CHECK_AFTER_SECONDS and not _is_readable(connection):
        return
    with limited(connection, CHECK_SECONDS):
        await AsyncConnectionPool.check_connection(connection)


@asynccontextmanager
async def ended(connection: Connection) -> AsyncIterator[None]:
    """Roll back a transaction that the caller begins, unless it was committed."""
    try:
        yield
    finally:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                await connection.execute("ROLLBACK")


async def one(cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the only row of a result."""
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101  for the type checker: the statement returns a row
    return row


def is_text(value: str) -> bool:
    """Return whether a text can be in a column: no NUL, and no half of a surrogate pair."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def reason_of(error: Exception) -> str:
    """Return the first line of an error, which has no part of the connection string."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return "the connection string can't be read"
    if "failed to resolve host" in str(error):  # it may be a password with an unescaped @
        return "its host can't be found"
    if isinstance(error, PoolTimeout | TooManyRequests):
        return "no connection is free or can be made"
    return next(iter(str(error).splitlines()), type(error).__name__)
