"""Fixtures that make a `Pd`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.pd.pd import Pd
from jupyter_pdflow.rules.run import Execution

MakePd = Callable[..., Pd]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty data directory for `pd.inputs`."""
    monkeypatch.setenv("JUPYTER_PDFLOW_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def make_pd(data_dir: Path) -> MakePd:
    def make(test: bool = False, **fields: Any) -> Pd:
        values = {
            "id": "r-2",
            "run_id": "r",
            "workflow_id": "w",
            "workflow_name": "W",
            "version": "v",
            "step": "s",
            "ts": datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
            "resume_url": "http://resume",
            "cancel_url": "http://cancel",
            **fields,
        }
        return Pd(Execution(**values), test=test)

    return make


@pytest.fixture
def pd(make_pd: MakePd) -> Pd:
    return make_pd()
