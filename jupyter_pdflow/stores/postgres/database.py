"""The connections to a PostgreSQL database, and its errors as ours."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
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

USE_SECONDS = 4.5
"""Maximum time that a request uses a connection."""

COMMIT_SECONDS = 1.5
"""Maximum time of a commit; then it is looked up."""

LOOKUP_SECONDS = 3.0
"""Maximum time in which it is looked up what became of a commit."""

RECONNECT_SECONDS = 1.0
"""Maximum time in which a lost connection is replaced, before a request asks for it again."""

XACT_ID = "pg_current_xact_id()::text"
"""What identifies a transaction, in SQL."""

RETRY_SECONDS = 0.2
"""Time between two attempts to ask what became of a transaction."""

CONNECT_SECONDS = 4
"""Maximum time in which a connection is made."""

CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TooManyRequests)

Connection = AsyncConnection[tuple[Any, ...]]


class Database:
    """A pool of connections to a database.

    Parameters
    ----------
    conninfo : str
        A connection string or URL; it may hold a password, and is in no message.
    max_connections : int
        Maximum number of connections for transactions; one more listens for changes.

    Attributes
    ----------
    available : bool
        Whether the latest use of the database has succeeded.
    """

    def __init__(self, conninfo: str, *, max_connections: int) -> None:
        self.conninfo = conninfo
        self.available = True
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
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
        async with self.connection() as connection:
            await check_tables(connection)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self, *, seconds: float = USE_SECONDS) -> AsyncIterator[Connection]:
        """Lend a connection; its statements are committed one by one.

        Parameters
        ----------
        seconds : float
            Maximum time of its use; then it is cut, as the network may be.

        Raises
        ------
        StorageUnavailableError
            The database can't be reached or used.
        ConflictError
            It has ended a transaction in favor of another one.
        """
        with self._errors():
            async with self._pool.connection() as connection:
                with _limited(connection, seconds):
                    yield connection
        self.available = True

    async def commit(self, connection: Connection, transaction_id: str) -> None:
        """Commit the transaction of a connection; one whose answer is lost is looked up.

        Parameters
        ----------
        connection : Connection
        transaction_id : str
            What `XACT_ID` was in the transaction.

        Raises
        ------
        StorageUnavailableError
            It was not committed; or the database can't be asked, as the message says then.
        """
        try:
            with _limited(connection, COMMIT_SECONDS):
                await connection.execute("COMMIT")
        except UNAVAILABLE as error:
            if not await self._was_committed(transaction_id):
                raise
            logger.warning("A commit was confirmed after %s.", reason_of(error))

    async def _was_committed(self, transaction_id: str) -> bool:
        """Ask the database what became of a transaction.

        Raises
        ------
        StorageUnavailableError
            It can't be asked in time.
        """
        ends = time.monotonic() + LOOKUP_SECONDS
        while time.monotonic() < ends:
            with suppress(StorageUnavailableError):
                async with self.connection() as connection:
                    found = await connection.execute(
                        "SELECT pg_xact_status(%s::xid8)", (transaction_id,)
                    )
                    status = (await one(found))[0]
                if status != "in progress":
                    return bool(status == "committed")
            await asyncio.sleep(RETRY_SECONDS)
        msg = (
            "The database was lost during a commit: look whether it was made before you repeat it."
        )
        raise StorageUnavailableError(msg)

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
    "options": "-c synchronous_commit=on -c lock_timeout=4000 -c statement_timeout=30000",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}
"""Settings of each connection; times in milliseconds, of keepalives in seconds."""


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
def _limited(connection: Connection, seconds: float) -> Iterator[None]:
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


async def _check(connection: Connection) -> None:
    with _limited(connection, CHECK_SECONDS):
        await AsyncConnectionPool.check_connection(connection)


@asynccontextmanager
async def begun(connection: Connection) -> AsyncIterator[None]:
    """Begin a transaction, which is rolled back in the end unless it was committed."""
    await connection.execute("BEGIN")
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


def reason_of(error: Exception) -> str:
    """Return the first line of an error, which has no part of the connection string."""
    if isinstance(error, PoolTimeout | TooManyRequests):
        return "no connection is free or can be made"
    return next(iter(str(error).splitlines()), type(error).__name__)
