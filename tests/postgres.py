"""A real PostgreSQL server on a free port of 127.0.0.1, and databases on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.servers import free_port

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "64MB",
    # Tests that need what is on disk say so themselves.
    "fsync": "off",
}


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL; Debian has those of a server outside of PATH."""
    found = shutil.which(name)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found or versions, f"Install PostgreSQL: {name} was not found."
    return found or str(versions[-1])


class PostgresServer:
    """A server in a temporary folder; started by `start`, and gone after `close`."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pdflow-postgres-"))
        self.port = free_port()
        self._settings = {**SETTINGS, "port": str(self.port), **settings}
        # PostgreSQL refuses to run as root.
        self._user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(self.folder, "postgres")
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "pdflow", "--auth=trust", "--no-sync", "-E", "UTF8")
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())
            file.write(f"unix_socket_directories = '{self.folder}'\n")

    def start(self) -> None:
        self._ctl("start", "-w", "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._ctl("stop", "-m", mode)

    def close(self) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://pdflow@127.0.0.1:{self.port}/{name}"

    def _ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), *arguments)

    def _run(self, name: str, *arguments: str) -> None:
        command = [*self._user, program(name), *arguments]
        with (self.folder / "output").open("a") as output:
            subprocess.run(
                command, check=True, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT
            )


@contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    server = PostgresServer(**settings)
    try:
        server.start()
        yield server
    finally:
        server.close()
