"""What all processes of a database share: the keys of links, and the public URL."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import NamedTuple
from uuid import uuid4

import psycopg

from jupyter_pdflow.exceptions import ConfigurationError, SchemaError, StorageUnavailableError
from jupyter_pdflow.stores.postgres.database import (
    CONNECT_SECONDS,
    OPTIONS,
    USE_SECONDS,
    Connection,
    limited,
    reason_of,
)
from jupyter_pdflow.stores.postgres.schema import check_tables

KEY_BYTES = 32
"""Random bytes of a new key."""

LISTEN_SECONDS = 3.0
"""How long a notification to oneself may take."""

LINK_KEYS, PUBLIC_URL = "link_keys", "public_url"


TRAIT = "trait:"
"""The beginning of the name of a stored trait."""


class Shared(NamedTuple):
    """What is stored for all processes.

    Attributes
    ----------
    link_keys : list of str
        The first one signs, all verify.
    public_url : str
        Empty if none is stored.
    traits : dict of str to str
        The values of traits that processes have stored, as JSON.
    """

    link_keys: list[str]
    public_url: str
    traits: dict[str, str]


async def read_shared(conninfo: str) -> Shared:
    """Check a database, and return what is stored for all processes.

    Raises
    ------
    StorageUnavailableError
        The database can't be reached.
    SchemaError
        Its tables are missing, or of another version.
    ConfigurationError
        The connection is one of a pooler in transaction mode, which passes no notifications.
    """
    try:
        async with await _connect(conninfo) as connection:
            with limited(connection, USE_SECONDS):
                await check_tables(connection)
                async with await _connect(conninfo) as other:
                    with limited(other, USE_SECONDS):
                        await _check_notifications(connection, other)
                found = await connection.execute("SELECT name, value FROM pdflow.settings")
                stored = {name: value async for name, value in found}
    except psycopg.Error as error:
        msg = f"The database can't be used: {reason_of(error)}. Nothing was changed."
        # `from None`: the cause may repeat the password.
        raise StorageUnavailableError(msg) from None
    keys = stored.get(LINK_KEYS, "").split()
    if not keys:
        msg = "The database has no keys for links. Run `jupyter pdflow migrate`."
        raise SchemaError(msg)
    traits = {name[len(TRAIT) :]: text for name, text in stored.items() if name.startswith(TRAIT)}
    return Shared(keys, stored.get(PUBLIC_URL, ""), traits)


async def store_traits(conninfo: str, traits: Mapping[str, str]) -> None:
    """Store the values of traits for all processes, as JSON.

    Raises
    ------
    StorageUnavailableError
        The database can't be used.
    """
    try:
        async with await _connect(conninfo) as connection:
            with limited(connection, USE_SECONDS):
                for name, text in traits.items():
                    await connection.execute(_PUT, (f"{TRAIT}{name}", text))
    except psycopg.Error as error:
        msg = f"The database can't be used: {reason_of(error)}. Nothing was changed."
        raise StorageUnavailableError(msg) from None


_PUT = """
INSERT INTO pdflow.settings VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


async def _connect(conninfo: str) -> Connection:
    return await Connection.connect(
        conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS, **OPTIONS
    )


async def _check_notifications(connection: Connection, other: Connection) -> None:
    """Notify a connection from another one.

    A pooler in transaction mode accepts LISTEN, and passes on what comes during a transaction of
    the same client only: what a connection sends to itself would arrive.
    """
    channel = f"pdflow_check_{uuid4().hex[:16]}"
    await connection.execute(f"LISTEN {channel}".encode())
    await other.execute(f"NOTIFY {channel}".encode())
    told = connection.notifies(timeout=LISTEN_SECONDS, stop_after=1)
    if [notification async for notification in told]:
        return
    raise ConfigurationError(
        trait="database_url",
        has_to_be="a direct connection: a pooler in transaction mode passes no notifications",
    )


def store_shared(connection: psycopg.Connection, public_url: str | None = None) -> None:
    """Store a key for links if there is none, and the public URL if one is given."""
    connection.execute(
        "INSERT INTO pdflow.settings VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (LINK_KEYS, secrets.token_urlsafe(KEY_BYTES)),
    )
    if public_url is not None:
        connection.execute(
            "INSERT INTO pdflow.settings VALUES (%s, %s) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (PUBLIC_URL, public_url),
        )
