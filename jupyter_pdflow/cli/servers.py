"""The commands that make the tables of a database, and start processes that work on it."""

from __future__ import annotations

import os
from argparse import Namespace

from jupyter_pdflow.cli.maintenance import check_database_url, find_database_url
from jupyter_pdflow.cli.running import echo
from jupyter_pdflow.exceptions import StorageUnavailableError, UsageError
from jupyter_pdflow.server.public_url import is_address
from jupyter_pdflow.settings import DATABASE_URL_VARIABLE

DONE = 0


def migrate(given: Namespace) -> int:
    """Make or update the tables of a database."""
    url = _database_url(given)
    if not url:
        msg = f"Name the database: --database-url, or ${DATABASE_URL_VARIABLE}."
        raise UsageError(msg)
    if given.public_url is not None and not is_address(given.public_url):
        msg = f"--public-url {given.public_url!r} is not an http:// or https:// address."
        raise UsageError(msg)
    check_database_url(url)
    import psycopg

    from jupyter_pdflow.stores.postgres.database import reason_of
    from jupyter_pdflow.stores.postgres.migrate import migrate as migrate_database

    try:
        before, after = migrate_database(url, given.public_url)
    except psycopg.Error as error:
        msg = f"The database can't be used: {reason_of(error)}."
        raise StorageUnavailableError(msg) from None
    done = "were made" if not before else "were updated" if before < after else "are up to date"
    echo(f"The tables {done} (version {after}).")
    return DONE


def serve(given: Namespace) -> int:
    """Serve links, the API and metrics until a signal ends it."""
    from jupyter_pdflow.worker.serve import serve as serve_until_signal

    _pass_on(given)
    serve_until_signal(given.rest)
    return DONE


def worker(given: Namespace) -> int:
    """Execute steps until a signal ends it."""
    _pass_on(given)
    from jupyter_pdflow.worker.app import work

    options = {"max_kernels": given.kernels, "worker_name": given.name}
    arguments = [f"--PDFlow.{name}={value}" for name, value in options.items() if value is not None]
    arguments += [f"--PDFlow.queues={name}" for name in given.queue or ()]
    work([*arguments, *given.rest])
    return DONE


def _database_url(given: Namespace) -> str:
    return given.database_url or find_database_url()


def _pass_on(given: Namespace) -> None:
    """Check a database's URL, and give it to this process's server.

    In the environment, as a command line would show the password.
    """
    if url := _database_url(given):
        check_database_url(url)
    if given.database_url:
        os.environ[DATABASE_URL_VARIABLE] = given.database_url
