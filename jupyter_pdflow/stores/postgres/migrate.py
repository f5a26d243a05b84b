"""Makes and updates the tables of a database."""

from __future__ import annotations

import psycopg

from jupyter_pdflow.stores.postgres.jobs import upgrade_tables
from jupyter_pdflow.stores.postgres.schema import NEWEST, check_version, migrations
from jupyter_pdflow.stores.postgres.shared import store_shared

LOCK = 0x7064666C6F77
"""The key of the advisory lock under which migrations run."""


def migrate(conninfo: str, public_url: str | None = None) -> tuple[int, int]:
    """Make or update the tables; several processes may do so at once.

    Parameters
    ----------
    conninfo : str
        A connection string or URL of a role that may create a schema; no superuser is needed.
    public_url : str, optional
        The address of a server that people can reach, to be stored for all processes.

    Returns
    -------
    tuple of int
        The version of the tables before and after; 0 if there were none.

    Raises
    ------
    SchemaError
        A newer version of this package has made the tables.
    psycopg.Error
        The database can't be reached, or refuses.
    """
    with psycopg.connect(conninfo) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute("CREATE SCHEMA IF NOT EXISTS pdflow")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS pdflow.schema_version (version integer NOT NULL)"
        )
        row = connection.execute("SELECT max(version) FROM pdflow.schema_version").fetchone()
        before = (row[0] if row else None) or 0
        check_version(before, allow_older=True)
        for number, sql in enumerate(migrations()[before:], before + 1):
            connection.execute(sql.encode())
            connection.execute("INSERT INTO pdflow.schema_version VALUES (%s)", (number,))
        store_shared(connection, public_url)
    upgrade_tables(conninfo)
    return before, NEWEST
