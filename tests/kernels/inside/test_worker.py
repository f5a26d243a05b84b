"""Steps in real kernels: what they see, their outcomes and their outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.exceptions import KernelError
from jupyter_pdflow.kernels.kernel import Kernel, StepResult
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import EmailRequest
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


async def test_handler_sees_event_and_links_and_everything_is_in_its_outcome(
    pool: KernelPool,
) -> None:
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
    outcome, outputs, *_ = await run(pool, flow, event={"rows": [{"n": 7}]}, runs=3, attempt=2)
    assert outcome.exports == {"seen": 7, "$return_value": {"test": False, "attempt": 2}}
    assert outcome.flow == PauseCall(kind="suspend", ms=5000, on_timeout="fail")
    assert outcome.emails == [EmailRequest(subject="Hi", text="http://resume", to=["a@b.c"])]
    assert outcome.error is None
    assert outputs == [{"output_type": "stream", "name": "stdout", "text": "hello 3\n"}]


async def test_plot_is_an_output(pool: KernelPool) -> None:
    flow = workflow("import matplotlib.pyplot as plt\n" + handler("plt.plot([1, 2])"))
    outcome, outputs, *_ = await run(pool, flow)
    assert outcome.error is None
    assert [output["output_type"] for output in outputs] == ["display_data"]
    assert outputs[0]["data"]["image/png"]


async def test_async_handler_and_top_level_await(pool: KernelPool) -> None:
    flow = workflow(
        """
        import asyncio
        started = await asyncio.sleep(0, "started")
        async def handler(pd):
            return [started, await asyncio.sleep(0.01, "slept")]
        """,
        setup=("import asyncio\nawait asyncio.sleep(0)", "shout = str.upper"),
    )
    assert await value_of(pool, flow) == ["started", "slept"]


async def test_magics_of_this_package_have_no_effect(pool: KernelPool) -> None:
    setup = ("%load_ext jupyter_pdflow\n%pdflow production\nx = 1", "y = x + 1")
    assert await value_of(pool, workflow(handler("return y"), setup=setup)) == 2


async def test_warm_kernel_is_reused_without_a_second_setup(pool: KernelPool) -> None:
    setup = ("import os, itertools", "numbers = itertools.count()")
    flow = workflow(handler("return [os.getpid(), next(numbers)]"), setup=setup)
    pid, first = await value_of(pool, flow)
    assert first == 0
    assert await value_of(pool, flow) == [pid, 1]


LAYERED = (
    "import math\nNAME = 'a'\ndef fetch(): return NAME\n" + handler("return fetch()"),
    "NAME = 'b'\ndef fetch(): return NAME + NAME\n" + handler("return fetch()"),
    handler("return [fetch(), NAME, math.floor(1.5)]"),
)


async def test_each_step_sees_its_own_names_and_those_of_earlier_steps(pool: KernelPool) -> None:
    flow = workflow(*LAYERED)
    for step, expected in [("a", "a"), ("b", "bb"), ("c", ["bb", "b", 1]), ("a", "a")]:
        assert await value_of(pool, flow, step) == expected


async def test_cold_kernel_at_a_later_step_has_what_earlier_cells_define(pool: KernelPool) -> None:
    quiet = 'print("not shown"); display("nor this")\n' + handler("raise Exception('not called')")
    flow = workflow(quiet + "\nx = 1", "y = x + 1\n" + handler("pass"), handler("return [x, y]"))
    outcome, outputs, *_ = await run(pool, flow, "c")
    assert outcome.exports == {"$return_value": [1, 2]}
    assert outputs == []


async def test_globals_of_one_run_are_removed_before_the_next(pool: KernelPool) -> None:
    body = handler(
        """
        global count, limit, made
        before = [count, limit, "made" in globals()]
        count, limit, made = count + 1, 99, True
        return before
        """
    )
    flow = workflow("count = 0\n" + body, handler("return count"), setup=("limit = 10",))
    for _ in range(2):
        assert await value_of(pool, flow) == [0, 10, False]
    assert await value_of(pool, flow, "b") == 0


async def test_handler_of_another_step_is_not_used(pool: KernelPool) -> None:
    flow = workflow(handler("return 1"), "x = 1")
    assert await value_of(pool, flow) == 1
    outcome, outputs, *_ = await run(pool, flow, "b")
    assert outcome.error is not None
    assert outcome.error.ename == "StepError"
    assert "'b' defines no handler" in outcome.error.evalue
    assert outputs[0]["output_type"] == "error"


async def test_error_shows_the_authors_frames_only(pool: KernelPool) -> None:
    body = """
    def inner():
        return 1 / 0

    def handler(pd):
        pd.export("before", 1)
        pd.send.email("Still sent")
        pd.flow.suspend()
        try:
            inner()
        except ZeroDivisionError as error:
            raise ValueError("no") from error
    """
    outcome, outputs, *_ = await run(pool, workflow(body))
    error = outcome.error
    assert error is not None
    assert (error.ename, error.evalue) == ("ValueError", "no")
    frames = [line.strip() for line in error.traceback if line.startswith("  File")]
    assert [frame.rpartition(" ")[2] for frame in frames] == ["handler", "inner", "handler"]
    assert all("step a" in frame for frame in frames)
    assert "\x1b" not in "".join(error.traceback)
    assert outcome.exports == {"before": 1}
    assert [email.subject for email in outcome.emails] == ["Still sent"]
    [output] = outputs
    assert output["output_type"] == "error"
    assert (output["ename"], output["evalue"]) == ("ValueError", "no")
    text = "\n".join(output["traceback"])
    assert "\x1b[" in text
    assert "inner" in text
    assert "jupyter_pdflow" not in text
    assert "call.py" not in text


async def test_error_in_a_body_is_the_steps_error(pool: KernelPool) -> None:
    flow = workflow("1 / 0\n" + handler("pass"), handler("pass"), "def broken(:\n    pass")
    for step, ename in [("a", "ZeroDivisionError"), ("b", "ZeroDivisionError")]:
        outcome, outputs, *_ = await run(pool, flow, step)
        assert outcome.error is not None
        assert outcome.error.ename == ename
        assert [output["output_type"] for output in outputs] == ["error"]
    outcome, outputs, *_ = await run(pool, workflow("def broken(:\n    pass"))
    assert outcome.error is not None
    assert outcome.error.ename == "SyntaxError"
    assert "ast.py" not in "".join(outcome.error.traceback)
    assert outputs[0]["ename"] == "SyntaxError"
    assert "def broken(" in "".join(outputs[0]["traceback"])


@pytest.mark.parametrize(
    ("line", "ename"),
    [
        ("exit()", "SystemExit"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("input('?')", "StdinNotImplementedError"),
        ("return {1}", "ExportError"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "Odd"),
        ("raise Exception('\\ud800')", "Exception"),
        ("raise ExceptionGroup('many', [ValueError(1), TypeError(2)])", "ExceptionGroup"),
        ("handler(pd)", "RecursionError"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    ],
)
async def test_any_exception_is_the_error_of_the_step_and_the_kernel_stays(
    pool: KernelPool, line: str, ename: str
) -> None:
    flow = workflow(handler(line), handler("return 'ok'"))
    kernel = await pool.acquire(flow, "")
    outcome, outputs, *_ = await kernel.execute(execution(flow))
    assert outcome.error is not None
    assert outcome.error.ename == ename
    assert outputs[-1]["output_type"] == "error"
    assert outputs[-1]["ename"] == ename
    outcome, *_ = await kernel.execute(execution(flow, "b"))
    assert outcome.exports == {"$return_value": "ok"}
    pool.release(kernel)


@pytest.mark.parametrize(
    ("cell", "ename"),
    [("1 / 0", "ZeroDivisionError"), ("exit()", "SystemExit"), ("(", "SyntaxError")],
)
async def test_error_of_the_setup_names_the_cell(pool: KernelPool, cell: str, ename: str) -> None:
    flow = workflow(handler("pass"), setup=("x = 1", cell))
    with pytest.raises(KernelError, match=rf"Setup cell 2 failed: {ename}") as caught:
        await pool.acquire(flow, "")
    assert caught.value.error.ename == ename
    assert "jupyter_pdflow" not in "\n".join(caught.value.error.traceback)


async def test_event_and_export_of_four_megabytes(pool: KernelPool) -> None:
    event = {"text": "ü" * 1_000_000, "rows": list(range(300_000))}
    flow = workflow(handler("return pd.steps.trigger.event"))
    assert await value_of(pool, flow, event=event) == event


async def test_exports_above_the_limit_fail_the_step(pool: KernelPool) -> None:
    outcome, *_ = await run(pool, workflow(handler("return 'x' * 50_000_000")))
    assert outcome.exports == {}
    assert outcome.error is not None
    assert "take 50,000" in outcome.error.evalue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder beside the notebooks."""
    path = tmp_path / "sub folder"
    path.mkdir()
    return path


@pytest.mark.parametrize("path", ["sub folder", "sub folder/w.ipynb"])
async def test_kernel_runs_in_the_given_directory(
    pool: KernelPool, folder: Path, path: str
) -> None:
    (folder / "helpers.py").write_text("ANSWER = 42")
    flow = workflow(handler("return [os.getcwd(), helpers.ANSWER]"), setup=("import os, helpers",))
    kernel = await pool.acquire(flow, path)
    outcome, *_ = await kernel.execute(execution(flow))
    pool.release(kernel)
    assert outcome.exports == {"$return_value": [str(folder), 42]}


async def test_kernel_that_lacks_the_directory_stays_in_its_own(
    manager: Any, app: Any, tmp_path: Path
) -> None:
    flow = workflow(handler("return os.getcwd()"), setup=("import os",))
    kernel = await Kernel.start(manager, "python3", "")
    await kernel.prepare(flow, str(tmp_path / "missing"))
    outcome, *_ = await kernel.execute(execution(flow))
    await kernel.close()
    assert outcome.exports == {"$return_value": str(tmp_path)}


async def test_asyncio_run_in_a_plain_handler_as_in_a_script(pool: KernelPool) -> None:
    body = """
import asyncio

async def double(n):
    await asyncio.sleep(0.01)
    return 2 * n

async def all_of_them():
    return await asyncio.gather(*(double(n) for n in range(3)))

def handler(pd):
    print(asyncio.run(all_of_them()))
    return asyncio.new_event_loop().run_until_complete(double(21))
"""
    then = handler("await asyncio.sleep(0); return 'awaited'").replace("def ", "async def ", 1)
    flow = workflow(body, then)
    assert await value_of(pool, flow) == 42
    assert await value_of(pool, flow, "b") == "awaited"
    assert await value_of(pool, flow) == 42
