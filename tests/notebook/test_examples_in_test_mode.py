"""The example notebooks in test mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.notebook.conftest import VIEW, CellResult, Kernel
from tests.notebooks.service import Service

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
EXPORTS = "get_ipython().pdflow.session.exports"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


class Example:
    """An example notebook, run cell by cell."""

    def __init__(self, kernel: Kernel, name: str, **constants: Any) -> None:
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        self.kernel = kernel
        kernel.run(f"import os; os.chdir({str(NOTEBOOKS)!r})")
        self.steps = {cell.split()[1]: cell for cell in cells if cell.startswith("%%step")}
        for cell in cells:
            if cell not in self.steps.values():
                assert kernel.run(cell).reply["status"] == "ok"
        for constant, value in constants.items():
            kernel.run(f"{constant} = {value!r}")

    def run(self, step: str) -> CellResult:
        return self.kernel.run(self.steps[step])

    def notice(self, step: str) -> dict[str, Any]:
        ran = self.run(step)
        assert ran.error is None
        return next(bundle for bundle in ran.bundles if VIEW in bundle)

    def rerun(self, notice: dict[str, Any], outputs: int) -> list[dict[str, Any]]:
        """Press *as if the time ran out*, and wait for the outputs of the rerun."""
        self.kernel.click(notice, "as if the time ran out")
        return self.kernel.wait_for_outputs(notice, outputs)


def test_approval(kernel: Kernel):
    example = Example(kernel, "approval")
    ran = example.run("ask")
    mail, notice = ran.bundles
    assert "Click here to approve the workflow: $http://localhost:8888/pdflow" in mail["text/plain"]
    kernel.enter_text(notice, '"yes"')
    kernel.click(notice, "as if resumed with")

    assert '"body": "yes"' in example.run("publish").text


def test_timeout(kernel: Kernel):
    example = Example(kernel, "timeout")
    notice = example.notice("code")
    assert "7 days" in kernel.widget_text(notice)
    kernel.click(notice, "as if the time ran out")

    assert example.run("answer").outputs == []
    exports = kernel.value(EXPORTS)["code"]
    assert exports["$resume_data"] is None
    assert exports["$decision"]["outcome"] == "timed_out"


def test_poll_until_done(kernel: Kernel, service: Service):
    service.reset()
    service.statuses = ["PENDING", "DONE"]
    example = Example(kernel, "poll", STATUS_URL=f"{service.url}/status")
    _, second = example.rerun(example.notice("poll"), 2)
    _, shown = example.rerun(second["data"], 2)
    assert '$return_value = {"status": "DONE"}' in shown["data"]["text/plain"]

    assert '{"status": "DONE"}' in example.run("done").text


def test_poll_gives_up(kernel: Kernel, service: Service):
    service.reset()
    example = Example(kernel, "poll", STATUS_URL=f"{service.url}/status")
    _, second = example.rerun(example.notice("poll"), 2)
    _, third = example.rerun(second["data"], 2)
    _, error = example.rerun(third["data"], 2)

    assert error["evalue"] == "Max retries exceeded"


def test_poll_as_shipped(kernel: Kernel):
    example = Example(kernel, "poll")
    ran = example.run("poll")
    assert ran.error is None
    second = example.rerun(next(bundle for bundle in ran.bundles if VIEW in bundle), 2)[1]
    _, shown = example.rerun(second["data"], 2)
    assert '$return_value = {"status": "DONE"}' in shown["data"]["text/plain"]

    assert '{"status": "DONE"}' in example.run("done").text


def test_callback_as_shipped(kernel: Kernel):
    example = Example(kernel, "callback")
    notice = example.notice("job")
    kernel.enter_text(notice, '{"result": 42}')
    kernel.click(notice, "as if resumed with")
    kernel.wait_for_outputs(notice)

    assert '$return_value = {"result": 42}' in example.run("result").text


def test_a_step_below_one_that_waits_says_what_to_do(kernel: Kernel):
    example = Example(kernel, "callback")
    example.notice("job")
    ran = example.run("result")

    printed = "".join(one["text"] for one in ran.outputs if one.get("name") == "stderr")
    assert "Step job is waiting: press *as if the time ran out* in its notice" in printed


def test_callback(kernel: Kernel, service: Service):
    service.reset()
    example = Example(kernel, "callback", CALLBACK_URL=f"{service.url}/jobs")
    notice = example.notice("job")
    assert set(service.jobs[0]) == {"resume_url", "cancel_url"}
    kernel.enter_text(notice, '{"done": 1}')
    kernel.click(notice, "as if resumed with")
    kernel.wait_for_outputs(notice)

    assert '$return_value = {"done": 1}' in example.run("result").text


def test_a_callback_that_never_comes(kernel: Kernel, service: Service):
    service.reset()
    example = Example(kernel, "callback", CALLBACK_URL=f"{service.url}/jobs")
    (error,) = example.rerun(example.notice("job"), 1)

    assert error["evalue"] == "External service never completed job"


def test_context(kernel: Kernel):
    example = Example(kernel, "context")
    (shown,) = example.rerun(example.notice("hello"), 1)
    assert '{"hello": "world"}' in shown["data"]["text/plain"]


def test_all_arguments(kernel: Kernel):
    example = Example(kernel, "context")
    (second,) = example.rerun(example.notice("arguments"), 1)
    warned, shown = example.rerun(second["data"], 2)

    assert "used up" in warned["text"]
    assert '{"runs": 3, "context": {"after": 2}}' in shown["data"]["text/plain"]


def test_max_retries(kernel: Kernel):
    example = Example(kernel, "context")
    notice = example.notice("max_retries")
    kernel.click(notice, "as if the time ran out")

    # The page's example does not pause again in run 2, and exports nothing.
    kernel.wait_for_widget_text(notice, "Step max_retries has ended. The next step can now be run.")
    assert kernel.outputs(notice) == []


def test_expenses(kernel: Kernel):
    example = Example(kernel, "expenses")
    ran = example.run("ask")
    *emails, notice = ran.bundles
    assert ["To: ada@example.org" in emails[0]["text/plain"], len(emails)] == [True, 2]
    assert "to be approved by 2 of ada@example.org, bob@example.org" in kernel.widget_text(notice)
    assert kernel.run('%pdflow answer {"account": "travel"}').error is None
    assert example.run("ask").error is None

    ran = example.run("pay")
    assert "Paid from the account for travel" in ran.stdout
    assert kernel.value(EXPORTS)["pay"]["$return_value"] == {
        "account": "travel",
        "remark": "",
        "approved_by": ["ada@example.org", "bob@example.org"],
    }
