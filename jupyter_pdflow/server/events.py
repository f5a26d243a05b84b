"""Changes of runs as Jupyter events, which JupyterLab's event stream carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_events import EventLogger

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.views import stamp

SCHEMA = Path(__file__).parent / "run-event.yaml"
SCHEMA_ID = "https://schema.jupyter.org/jupyter_pdflow/run/v1"


def register(logger: EventLogger) -> None:
    """Register the schema of the event, once."""
    if SCHEMA_ID not in logger.schemas:
        logger.register_event_schema(SCHEMA)


def emit(logger: EventLogger, run: Run) -> None:
    """Tell that a run has changed; call it on the event loop's thread."""
    logger.emit(schema_id=SCHEMA_ID, data=event_of(run))


def event_of(run: Run) -> dict[str, Any]:
    """Describe a change: what the run is now, no data and no links."""
    pause = run.pause
    return {
        "run_id": run.id,
        "workflow_id": run.workflow_id,
        "workflow_name": run.workflow_name,
        "status": run.status,
        "step": run.current.name,
        "pause_kind": pause.kind if pause else None,
        "deadline": stamp(pause.deadline) if pause else None,
        "updated_at": stamp(run.updated_at),
    }
