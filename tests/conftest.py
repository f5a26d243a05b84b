"""Fixtures that several test packages use."""

from __future__ import annotations

import inspect
import re
import signal
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import settings

from tests.servers import JupyterServer

STARTERS = {
    "server": (
        "JupyterServer|Gateway|Hub|KernelManager|NotebookClient|production_manager|ServerData|"
        "postgres_server"
    ),
    "browser": "sync_playwright",
}
"""The names in a test's code that make it get a mark: it starts a server or a browser."""

# A shell that starts the tests in the background makes them and their child processes ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)


# No test depends on how fast the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Start a Jupyter server for the tests of one module."""
    with JupyterServer(tmp_path_factory.mktemp("server")) as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark a test by the names in its code and in that of its fixtures, or by its folder."""
    for item in items:
        assert isinstance(item, pytest.Function)
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        functions = [item.obj, *(fixture.func for found in fixtures for fixture in found)]
        for mark in set().union(*map(_marks, functions)):
            item.add_marker(mark)
        if {"faults", "kills"} & set(item.path.parts):
            item.add_marker("kills")


@cache
def _marks(function: Callable[..., Any]) -> set[str]:
    source = inspect.getsource(inspect.unwrap(function))
    return {mark for mark, names in STARTERS.items() if re.search(rf"\b({names})\b", source)}
