"""A run as an executed notebook."""

from __future__ import annotations

from typing import Any

import nbformat

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.server.views import stamp

v4: Any = nbformat.v4
NOT_SHOWN = "[An output of this step is not one that a notebook can hold.]\n"


def executed_notebook(run: Run, workflow: Workflow, outputs: dict[str, list[Any]]) -> Any:
    """Write a run as a notebook: a header, the setup, and each step with its outputs.

    Parameters
    ----------
    run : Run
        The run.
    workflow : Workflow
        The version of the workflow that the run was started with.
    outputs : dict
        Outputs as nbformat has them, by step name.
    """
    source = workflow.source
    cells = [v4.new_markdown_cell(_header(run, workflow))]
    cells += [v4.new_code_cell(text, metadata={"tags": ["setup"]}) for text in source.setup]
    for step in source.steps:
        cells.append(
            v4.new_code_cell(
                f"%%step {step.name}\n{step.source}", outputs=_nodes(outputs, step.name)
            )
        )
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return v4.new_notebook(cells=cells, metadata=_metadata(run, workflow))


def written(notebook: Any) -> str:
    """Write a notebook as the text of an ``.ipynb`` file; raises what `nbformat.writes` does."""
    text: str = v4.writes(notebook)
    return text


def _header(run: Run, workflow: Workflow) -> str:
    rows = {
        "Run": f"`{run.id}`",
        "Version": f"`{run.version}`",
        "Notebook": f"`{workflow.path}`",
        "Status": run.status,
        "Started": stamp(run.created_at),
        "Ended" if run.ended else "Last change": stamp(run.ended_at or run.updated_at),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"# {run.workflow_name}\n\n| | |\n|---|---|\n{table}\n"


def _metadata(run: Run, workflow: Workflow) -> dict[str, Any]:
    kernel = workflow.source.kernel_name
    return {
        "kernelspec": {"name": kernel, "display_name": kernel, "language": "python"},
        "language_info": {"name": "python"},
        "pdflow": {
            "run_id": run.id,
            "workflow_id": run.workflow_id,
            "version": run.version,
            "status": run.status,
        },
    }


def _nodes(outputs: dict[str, list[Any]], step: str) -> list[Any]:
    return [_node(output) for output in outputs.get(step, [])]


def _node(output: Any) -> Any:
    """Return an output as nbformat has it; one that is none does not cost the others."""
    from_dict: Any = nbformat.from_dict
    node = from_dict(output)
    if isinstance(node, dict) and _is_valid(node):
        return node
    return v4.new_output("stream", name="stderr", text=NOT_SHOWN)


def _is_valid(node: dict[str, Any]) -> bool:
    try:
        nbformat.validate(node, ref="output", version=4)
    except (nbformat.ValidationError, RecursionError):
        return False
    return True
