"""Fixtures that several rooms use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.servers import JupyterServer

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Give the module a real Jupyter server of its own."""
    with JupyterServer(tmp_path_factory.mktemp("server")) as running:
        yield running
