"""Live views of production runs: what they show where no widget can, and through the kernel."""

from __future__ import annotations

from typing import Any

import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat import NotebookNode, v4

from tests.notebook.conftest import VIEW
from tests.notebook.test_production import LOAD, NotebookKernel, notebook, run_id_of, shown

__all__ = ["notebook"]


@pytest.fixture
def paused(notebook: NotebookKernel) -> Any:
    """Start a run that waits at its first step."""
    assert notebook.run("%pdflow production").error is None
    run_id = run_id_of(notebook.run('%pdflow run {"n": 1}'))
    return notebook.server.wait_run(run_id, "paused")


def view(notebook: NotebookKernel, code: str) -> dict[str, Any]:
    """Show a view; get its mimebundle."""
    return shown(notebook.run(code))


def traits(notebook: NotebookKernel, bundle: dict[str, Any]) -> dict[str, Any]:
    return dict(notebook.widgets[bundle[VIEW]["model_id"]]["view"])


# --- through the kernel ----------------------------------------------------------------


def test_a_list_and_a_run(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    workflow = paused["workflow_id"]

    listed = notebook.ask(bundle, "GET", f"runs?workflow={workflow}&status=paused&limit=5")
    assert [run["id"] for run in listed["result"]] == [paused["id"]]
    assert notebook.ask(bundle, "GET", f"runs?workflow={workflow}&status=failed")["result"] == []
    got = notebook.ask(bundle, "GET", f"runs/{paused['id']}")["result"]
    assert got["pause"]["resume_url"] == paused["pause"]["resume_url"]
    executed = notebook.ask(bundle, "GET", f"runs/{paused['id']}/notebook")["result"]
    assert executed["cells"][-1]["cell_type"] == "code"


def test_resume(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, f"import jupyter_pdflow\njupyter_pdflow.Run({paused['id']!r})")
    body = {"data": {"ok": True}, "by": "button"}
    resumed = notebook.ask(bundle, "POST", f"runs/{paused['id']}/resume", body)

    assert resumed["result"]["status"] != "paused"
    run = notebook.server.wait_run(paused["id"], "succeeded")
    assert run["steps"][0]["exports"]["$resume_data"]["body"] == {"ok": True}


def test_cancel(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    body = {"reason": "not now", "by": "button"}
    canceled = notebook.ask(bundle, "POST", f"runs/{paused['id']}/cancel", body)

    assert canceled["result"]["status"] == "canceled"
    assert "not now" in canceled["result"]["reason"]


def test_errors_in_words(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    run = f"runs/{paused['id']}"
    notebook.server.api("POST", f"/{run}/cancel", {"reason": None})

    for status, words, *request in (
        (404, "nothing", "GET", "runs/nothing"),
        (400, "limit must be a number", "GET", "runs?limit=no"),
        (409, "not paused", "POST", f"{run}/resume", {"data": None}),
        (409, "nothing to cancel", "POST", f"{run}/cancel", {"reason": None}),
        (400, "The body is not what this route takes", "POST", f"{run}/resume", {"what": 1}),
        (400, "A view can only GET", "DELETE", run),
        (400, "A view can only GET", "GET", 7),
    ):
        error = notebook.ask(bundle, *request)["error"]
        assert error["status"] == status, error
        assert words in error["message"]
        assert error["reason"]


def test_a_server_that_does_not_answer(notebook: NotebookKernel, paused: Any):
    notebook.run("import jupyter_pdflow\nfrom dataclasses import replace")
    bundle = view(notebook, "view = jupyter_pdflow.runs()\nview")
    notebook.run("view._client = replace(view._client, url='http://127.0.0.1:9/')")
    error = notebook.ask(bundle, "GET", "runs")["error"]

    assert error["status"] == 0
    assert "No Jupyter server answers at http://127.0.0.1:9/" in error["message"]


def test_messages_that_are_none_are_ignored(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    notebook.tell(bundle, "nonsense")
    notebook.tell(bundle, {"neither": "nor"})

    assert notebook.ask(bundle, "GET", "runs?limit=1")["result"]


# --- what saved notebooks say ----------------------------------------------------------


def test_the_twins_say_what_waits_and_hold_no_key(notebook: NotebookKernel, paused: Any):
    views = [
        view(notebook, "%pdflow runs"),
        view(notebook, "%%step ask\ndef handler(pd): pass"),
        view(notebook, f"import jupyter_pdflow\njupyter_pdflow.Run({paused['id']!r})"),
    ]
    for bundle in views:
        for twin in (bundle["text/plain"], bundle["text/html"]):
            assert paused["id"] in twin
            assert "paused at step ask: waits for an answer, until " in twin
        assert "pdflow/resume" not in str(bundle)
        assert "pdflow/resume" not in str(traits(notebook, bundle))


def test_a_link_that_a_step_exports_is_no_key_in_a_twin(notebook: NotebookKernel):
    step = "%%step ask\ndef handler(pd): return [pd.flow.suspend()['resume_url'], 'x']"
    notebook.save(LOAD, step)
    notebook.run("%pdflow production")
    run = notebook.server.wait_run(run_id_of(notebook.run("%pdflow run")), "paused")
    bundle = view(notebook, step)

    key = run["pause"]["resume_url"].rpartition("/")[2]
    assert run["steps"][0]["exports"]["$return_value"][0].endswith(key)
    assert "/pdflow/resume/…" in bundle["text/plain"]
    assert key not in str(bundle)


def test_a_settled_run_is_brought_up_to_date(notebook: NotebookKernel, paused: Any):
    ran = notebook.run(f"import jupyter_pdflow\njupyter_pdflow.Run({paused['id']!r})")
    display_id = ran.outputs[0]["transient"]["display_id"]
    notebook.server.api("POST", f"/runs/{paused['id']}/resume", {"data": None})
    notebook.server.wait_run(paused["id"], "succeeded")
    notebook.tell(shown(ran), {"method": "settled"})
    bundle = notebook.wait_until(lambda: notebook.displays.get(display_id), "an update")

    assert f"Run {paused['id']} of {paused['workflow_name']}: succeeded" in bundle["text/plain"]
    assert ": succeeded" in bundle["text/html"]
    assert bundle[VIEW] == shown(ran)[VIEW]


def test_converters_read_the_twins(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, f"import jupyter_pdflow\njupyter_pdflow.Run({paused['id']!r})")
    cell = v4.new_code_cell("run", outputs=[v4.new_output("display_data", bundle)])
    saved = v4.new_notebook(cells=[cell])

    html, _ = HTMLExporter().from_notebook_node(NotebookNode(saved))
    markdown, _ = MarkdownExporter().from_notebook_node(NotebookNode(saved))
    assert f"Run {paused['id']} of" in html
    assert f"Run {paused['id']} of" in markdown


# --- objects ---------------------------------------------------------------------------


def test_run_and_workflow(notebook: NotebookKernel, paused: Any):
    name = notebook.name
    notebook.run("from jupyter_pdflow import Run, Workflow, runs")
    for key in (repr(paused["workflow_id"]), f"'folder/{name}.ipynb'", f"'{name}.ipynb'"):
        assert notebook.value(f"Workflow({key}).steps") == ["ask", "tell"]
    notebook.run(f"flow = Workflow({paused['workflow_id']!r})\nrun = flow.run([7])")
    run_id = notebook.value("run.id")
    notebook.server.wait_run(run_id, "paused")

    assert notebook.value("run.refresh().status") == "paused"
    assert notebook.value("run.exports.ask['$return_value']") == {"event": [7]}
    assert f"Run {run_id}" in notebook.run("print(run)").stdout
    assert traits(notebook, view(notebook, "run"))["run"] == run_id
    assert traits(notebook, view(notebook, "flow"))["workflow"] == paused["workflow_id"]
    assert f"Workflow {paused['workflow_id']}" in notebook.run("print(flow)").stdout
    notebook.value("run.resume('yes').status")
    notebook.server.wait_run(run_id, "succeeded")
    refused = notebook.run("run.cancel('late')").error
    assert refused is not None
    assert "nothing to cancel" in refused["traceback"][0]
    assert notebook.value(f"Run({paused['id']!r}).cancel('late').status") == "canceled"


def test_runs(notebook: NotebookKernel, paused: Any):
    notebook.run("from jupyter_pdflow import runs")
    workflow = paused["workflow_id"]
    bundle = view(notebook, f"runs(status='paused', workflow={workflow!r})")
    assert paused["id"] in bundle["text/plain"]
    seen = traits(notebook, bundle)
    assert (seen["kind"], seen["status"], seen["workflow"]) == ("runs", "paused", workflow)
    assert notebook.server.api("GET", f"/{seen['probe']}").status_code == 200
    none = view(notebook, f"runs(status='failed', workflow={workflow!r})")
    assert none["text/plain"] == "There is no such run."


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("jupyter_pdflow.Run('nothing')", "nothing"),
        ("jupyter_pdflow.Workflow('nothing')", "nothing"),
        ("jupyter_pdflow.Workflow('nothing.ipynb')", "nothing.ipynb is not deployed"),
        ("jupyter_pdflow.runs('waiting')", "status must be one of"),
    ],
)
def test_what_is_not_there(notebook: NotebookKernel, code: str, words: str):
    error = notebook.run(f"import jupyter_pdflow\n{code}").error

    assert error is not None
    (line,) = error["traceback"]
    assert words in line


def test_the_names_are_imported_when_used():
    notebook = v4.new_notebook(
        cells=[
            v4.new_code_cell(
                "import sys, jupyter_pdflow\n"
                "print('jupyter_pdflow.notebook.production' in sys.modules)\n"
                "jupyter_pdflow.Run\n"
                "print('anywidget' in sys.modules, hasattr(jupyter_pdflow, 'nothing'))"
            )
        ]
    )
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()

    printed = "".join(output.text for output in notebook.cells[0].outputs)
    assert printed == "False\nFalse False\n"


# --- trees -----------------------------------------------------------------------------


def test_steps_and_context_show_as_trees(notebook: NotebookKernel):
    notebook.run("%%step first\ndef handler(pd): return {'<b>': [1, {'deep': None}]}")
    ran = notebook.run("%%step second\ndef handler(pd): display(pd.steps, pd.context)")
    steps, context = ran.shown

    assert "<details open><summary>" in steps["text/html"]
    assert "<b>&lt;b&gt;</b>" in steps["text/html"]
    assert "'first': {" in steps["text/plain"]
    assert "<b>trace_id</b>" in context["text/html"]
