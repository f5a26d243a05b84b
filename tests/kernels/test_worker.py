"""Steps in real kernels: what they see, what comes of them."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.exceptions import KernelError
from jupyter_pdflow.kernels.kernel import StepResult
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.run import ExitCall, Mail, PauseCall
from jupyter_pdflow.rules.workflow import Workflow
from tests.kernels.conftest import execution, handler, workflow


async def run(pool: KernelPool, flow: Workflow, step: str = "a", **fields: Any) -> StepResult:
    kernel = await pool.acquire(flow, "")
    try:
        return await kernel.execute(execution(flow, step, **fields))
    finally:
        pool.release(kernel)


async def value_of(pool: KernelPool, flow: Workflow, step: str = "a", **fields: Any) -> Any:
    result = await run(pool, flow, step, **fields)
    assert result.outcome.error is None, result.outcome.error
    return result.outcome.exports.get("$return_value")


async def test_handler_sees_event_and_links_and_gives_everything_back(pool: KernelPool) -> None:
    body = handler(
        """
        links = pd.flow.suspend(5000, on_timeout="fail")
        pd.send.email("Hi", text=links.resume_url, to="a@b.c")
        pd.export("seen", pd.steps.trigger.event.rows[0].n)
        print("hello", pd.context.run.runs)
        return {"test": pd.context.test, "attempt": pd.context.attempt}
        """
    )
    flow = workflow(body)
    outcome, outputs = await run(pool, flow, event={"rows": [{"n": 7}]}, runs=3, attempt=2)
    assert outcome.exports == {"seen": 7, "$return_value": {"test": False, "attempt": 2}}
    assert outcome.flow == PauseCall(kind="suspend", ms=5000, on_timeout="fail")
    assert outcome.mails == [Mail(subject="Hi", text="http://resume", to=["a@b.c"])]
    assert outcome.error is None
    assert outputs == [{"output_type": "stream", "name": "stdout", "text": "hello 3\n"}]


async def test_plot(pool: KernelPool) -> None:
    flow = workflow("import matplotlib.pyplot as plt\n" + handler("plt.plot([1, 2])"))
    outcome, outputs = await run(pool, flow)
    assert outcome.error is None
    assert [output["output_type"] for output in outputs] == ["display_data"]
    assert outputs[0]["data"]["image/png"]
