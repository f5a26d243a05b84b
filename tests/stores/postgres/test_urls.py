"""The URL of a database, as both drivers read it."""

from __future__ import annotations

import asyncpg
import psycopg
import pytest

from jupyter_pdflow.stores.postgres.database import asyncpg_url
from tests.postgres import PostgresServer


async def connected(url: str) -> tuple[str, str, str]:
    """Connect as the queue does; return the user, the database and the name of the connection."""
    connection = await asyncpg.connect(asyncpg_url(url), timeout=5)
    try:
        found = await connection.fetchrow(
            "SELECT current_user, current_database(), current_setting('application_name')"
        )
        return tuple(found.values())
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "parameters",
    [
        "connect_timeout=5&channel_binding=disable&keepalives=1&tcp_user_timeout=9&sslmode=prefer",
        "gssencmode=disable&client_encoding=utf8&target_session_attrs=read-write",
        "application_name=a%20b%26c",
    ],
)
async def test_parameters_of_libpq_do_no_harm(postgres: PostgresServer, parameters: str) -> None:
    name = "a b&c" if "application_name" in parameters else ""
    found = await connected(f"{postgres.url('postgres')}?{parameters}")
    assert found == ("pdflow", "postgres", name)


async def test_other_ways_to_name_a_server(postgres: PostgresServer) -> None:
    for url in (
        f"postgresql:///postgres?host={postgres.folder}&port={postgres.port}&user=pdflow",
        f"postgresql://pdflow@/postgres?hostaddr=127.0.0.1&port={postgres.port}",
        f"postgresql://pdflow@127.0.0.1:1,127.0.0.1:{postgres.port}/postgres",
        f"host=127.0.0.1 port={postgres.port} user=pdflow dbname=postgres",
    ):
        with psycopg.connect(url) as connection:
            assert connection.info.dbname == "postgres"
        assert (await connected(url))[:2] == ("pdflow", "postgres"), url


async def test_special_characters_of_a_password(postgres: PostgresServer) -> None:
    hba = postgres.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE odd LOGIN PASSWORD 'a#b?c:d%+&='")
        hba.write_text(f"host all odd 127.0.0.1/32 scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        try:
            url = f"postgresql://odd:a#b?c:d%25+&=@127.0.0.1:{postgres.port}/postgres"
            with psycopg.connect(url) as other:
                assert other.info.user == "odd"
            assert (await connected(url))[0] == "odd"
            with pytest.raises(asyncpg.InvalidPasswordError):
                await connected(url.replace("a#b", "a#x"))
        finally:
            hba.write_text(before)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP ROLE odd")


@pytest.mark.parametrize("host", ["::1", "fe80::1,10.0.0.1"])
def test_addresses_of_ipv6_have_brackets(host: str) -> None:
    url = asyncpg_url(f"host={host} port=5433")
    assert url.startswith("postgresql://?port=5433&host=%5B")
