"""The tables of the database: numbered migrations, and whether a database has them."""

from __future__ import annotations

from importlib.resources import files

import psycopg

from jupyter_pdflow.exceptions import SchemaError

MIGRATIONS = "jupyter_pdflow.stores.postgres"

LOCK = 0x7064666C6F77
"""The key of the advisory lock under which migrations run."""


def migrations() -> list[str]:
    """Return the SQL of all migrations, in order."""
    folder = files(MIGRATIONS) / "migrations"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(folder / name).read_text("utf-8") for name in names]


NEWEST = len(migrations())
"""The version of the tables that this version of the package works with."""


def migrate(conninfo: str) -> tuple[int, int]:
    """Make or update the tables; several processes may do so at once.

    Parameters
    ----------
    conninfo : str
        A connection string or URL of a role that may create a schema; no superuser is needed.

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
    return before, NEWEST


def check_version(version: int, *, allow_older: bool = False) -> None:
    """Check the version of the tables of a database.

    Raises
    ------
    SchemaError
        They are older or newer than those that this version of the package works with.
    """
    if version > NEWEST:
        msg = (
            f"The tables of the database have version {version}, and this jupyter_pdflow works "
            f"with version {NEWEST}. Upgrade jupyter_pdflow."
        )
        raise SchemaError(msg)
    if version < NEWEST and not allow_older:
        what = f"have version {version}" if version else "are missing"
        msg = (
            f"The tables of the database {what}; version {NEWEST} is needed. Run "
            "`jupyter pdflow migrate`."
        )
        raise SchemaError(msg)
