"""What a handler is told about the execution that it is called for."""

from __future__ import annotations

from jupyter_pdflow.rules.run import Execution, Run


def execution_of(
    run: Run,
    resume_url: str = "",
    cancel_url: str = "",
    *,
    files_dir: str = "",
    files_id: str = "",
) -> Execution:
    """Describe the run's current execution for the kernel that carries it out."""
    step = run.current
    return Execution(
        id=f"{run.id}-{run.execution}",
        run_id=run.id,
        workflow_id=run.workflow_id,
        workflow_name=run.workflow_name,
        version=run.version,
        step=step.name,
        ts=run.created_at,
        event=run.event,
        steps={done.name: done.exports for done in run.steps[: run.position]},
        attempt=run.attempt,
        runs=max(1, step.runs),
        reruns=step.reruns,
        context=run.context,
        woken=run.woken,
        callback_request=run.callback_request,
        resume_url=resume_url,
        cancel_url=cancel_url,
        files_dir=files_dir,
        files_id=files_id,
    )
