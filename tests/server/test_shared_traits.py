"""What is configured about people and limits on one machine holds for all that share a database."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jupyter_pdflow.maintenance.database import examine_database
from jupyter_pdflow.server.shared import with_shared_traits
from jupyter_pdflow.settings import Settings
from jupyter_pdflow.stores.postgres.migrate import migrate
from jupyter_pdflow.stores.postgres.shared import read_shared, store_traits
from tests.stores.postgres.conftest import database, postgres

__all__ = ["database", "postgres"]

ADA = {"ada": "ada@example.org"}


@pytest.fixture(autouse=True)
def tables(database: str) -> None:
    migrate(database)


def settings(database: str, **traits: object) -> Settings:
    given = {
        "data_dir": Path(),
        "files_dir": Path(),
        "database_url": database,
        "queues": [],
        "worker_name": "",
        "public_url": "",
        "max_kernels": 0,
        "idle_kernel_seconds": 1.0,
        "spare_kernels": 0,
        "max_crashes": 3,
        "smtp_url": "",
        "mail_from": "",
        "mail_to": [],
        "keep_days": None,
        **traits,
    }
    return Settings(**given)  # type: ignore[arg-type]


async def shared(database: str, **traits: object) -> Settings:
    return await with_shared_traits(settings(database, **traits), await read_shared(database))


async def test_others_take_what_one_process_has(database: str) -> None:
    assert (await shared(database)).people == {}
    first = await shared(database, people=ADA, groups={"team": ["ada"]}, max_crashes=5)
    other = await shared(database)
    assert (other.people, other.groups, other.max_crashes) == (ADA, {"team": ["ada"]}, 5)
    assert other == first


async def test_an_empty_value_that_is_configured_takes_away_what_was_stored(database: str) -> None:
    await shared(database, people=ADA, groups={"team": ["ada"]})
    emptied = await shared(database, configured=frozenset({"groups"}))
    assert (emptied.people, emptied.groups) == (ADA, {})
    assert (await shared(database)).groups == {}


async def test_another_value_is_named(database: str, caplog: pytest.LogCaptureFixture) -> None:
    await shared(database, people=ADA)
    with caplog.at_level(logging.WARNING):
        await shared(database, people=ADA)
        assert not caplog.messages
        await shared(database, people={"ada": "ada@other.example"})
    assert caplog.messages == ["PDFlow.people differs from what another process has stored."]
    report = await examine_database(database, public_url="http://x", traits={"people": "{}"})
    assert "PDFlow.people is configured here with another value" in report.findings[0].problem


async def test_what_can_not_be_read_is_ignored(database: str) -> None:
    await store_traits(database, {"people": "[1]", "groups": "no JSON", "max_crashes": "1"})
    found = await shared(database)
    assert (found.people, found.groups, found.max_crashes) == ({}, {}, 3)
