"""Live views of production runs: requests through the kernel, and the fallback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat import NotebookNode, v4

from jupyter_pdflow.widgets.bundle import NOT_BUILT, loader, views
from tests.notebook.conftest import VIEW
from tests.notebook.test_production import LOAD, NotebookKernel, notebook, run_id_of, view_of

__all__ = ["notebook"]

MAX_STATE = 10_000
"""Maximum size of a widget's state in bytes; each notebook that is saved with it has it."""


@pytest.fixture
def paused(notebook: NotebookKernel) -> Any:
    """Return a run that is paused at its first step."""
    assert notebook.run("%pdflow production").error is None
    run_id = run_id_of(notebook.run('%pdflow run {"n": 1}'))
    return notebook.server.wait_run(run_id, "paused")


def view(notebook: NotebookKernel, code: str) -> dict[str, Any]:
    """Display a view, and return its mimebundle."""
    return view_of(notebook.run(code))


def traits(notebook: NotebookKernel, bundle: dict[str, Any]) -> dict[str, Any]:
    return dict(notebook.widgets[bundle[VIEW]["model_id"]]["view"])


# --- through the kernel ----------------------------------------------------------------


def test_a_list_and_a_run(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    workflow = paused["workflow_id"]

    listed = notebook.request(bundle, "GET", f"runs?workflow={workflow}&status=paused&limit=5")
    assert [run["id"] for run in listed["result"]] == [paused["id"]]
    assert (
        notebook.request(bundle, "GET", f"runs?workflow={workflow}&status=failed")["result"] == []
    )
    got = notebook.request(bundle, "GET", f"runs/{paused['id']}")["result"]
    assert got["pause"]["resume_url"] == paused["pause"]["resume_url"]
    executed = notebook.request(bundle, "GET", f"runs/{paused['id']}/notebook")["result"]
    assert executed["cells"][-1]["cell_type"] == "code"


def test_resume(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, f"import jupyter_pdflow\njupyter_pdflow.Run({paused['id']!r})")
    body = {"data": {"ok": True}, "by": "button"}
    resumed = notebook.request(bundle, "POST", f"runs/{paused['id']}/resume", body)

    assert resumed["result"]["status"] != "paused"
    run = notebook.server.wait_run(paused["id"], "succeeded")
    assert run["steps"][0]["exports"]["$resume_data"]["body"] == {"ok": True}


def test_cancel(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    body = {"reason": "not now", "by": "button"}
    canceled = notebook.request(bundle, "POST", f"runs/{paused['id']}/cancel", body)

    assert canceled["result"]["status"] == "canceled"
    assert "not now" in canceled["result"]["reason"]


def test_errors_of_requests(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    run = f"runs/{paused['id']}"
    notebook.server.api("POST", f"/{run}/cancel", {"reason": None})

    for status, message, *request in (
        (404, "nothing", "GET", "runs/nothing"),
        (400, "limit must be a number", "GET", "runs?limit=no"),
        (409, "not paused", "POST", f"{run}/resume", {"data": None}),
        (409, "nothing to cancel", "POST", f"{run}/cancel", {"reason": None}),
        (400, "The body is not what this route takes", "POST", f"{run}/resume", {"what": 1}),
        (400, "A view can only GET", "DELETE", run),
        (400, "A view can only GET", "GET", 7),
    ):
        error = notebook.request(bundle, *request)["error"]
        assert error["status"] == status, error
        assert message in error["message"]
        assert error["reason"]


def test_errors_of_an_answer(notebook: NotebookKernel, paused: Any):
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    step = f"%%step ask\ndef handler(pd):\n    pd.flow.suspend(form={form})"
    server = notebook.server
    run = server.wait_run(server.run(server.deploy("form", [step]))["id"], "paused")
    bundle = view(notebook, "%pdflow runs")
    error = notebook.request(bundle, "POST", f"runs/{run['id']}/resume", {"data": {}})["error"]

    assert (error["status"], error["reason"]) == (422, "invalid_answer")
    assert error["errors"] == [{"field": "n", "message": "This is required."}]


def test_a_server_that_does_not_answer(notebook: NotebookKernel, paused: Any):
    notebook.run("import jupyter_pdflow\nfrom dataclasses import replace")
    bundle = view(notebook, "view = jupyter_pdflow.runs()\nview")
    notebook.run("view._client = replace(view._client, url='http://127.0.0.1:9/')")
    error = notebook.request(bundle, "GET", "runs")["error"]

    assert error["status"] == 0
    assert "No Jupyter server answers at http://127.0.0.1:9/" in error["message"]


def test_malformed_messages_are_ignored(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")
    notebook.send_to_view(bundle, "nonsense")
    notebook.send_to_view(bundle, {"neither": "nor"})

    assert notebook.request(bundle, "GET", "runs?limit=1")["result"]


# --- the front end ---------------------------------------------------------------------


def test_a_widget_carries_a_small_loader(notebook: NotebookKernel, paused: Any):
    state = notebook.widgets[view(notebook, "%pdflow runs")[VIEW]["model_id"]]

    assert state["_esm"] == loader()
    assert len(json.dumps(state)) < MAX_STATE
    assert not state.get("_css")


def test_the_views_come_once_they_are_asked_for(notebook: NotebookKernel, paused: Any):
    bundle = view(notebook, "%pdflow runs")

    assert notebook.request(bundle, "module")["result"] == views()


def test_views_that_are_not_built(notebook: NotebookKernel, paused: Any, tmp_path: Path):
    bundle = view(notebook, "%pdflow runs")
    use = "from pathlib import Path\nfrom jupyter_pdflow.widgets import bundle"
    notebook.run(f"{use}\nstatic, bundle.STATIC = bundle.STATIC, Path({str(tmp_path)!r})")
    forget = "bundle.views.cache_clear(); bundle.loader.cache_clear()"
    notebook.run(forget)
    try:
        error = notebook.request(bundle, "module")["error"]
        other = view(notebook, "%pdflow runs")
    finally:
        notebook.run(f"bundle.STATIC = static; {forget}")

    assert (error["status"], error["message"]) == (0, NOT_BUILT)
    state = notebook.widgets[other[VIEW]["model_id"]]
    assert state["_esm"].startswith("export default")
    assert NOT_BUILT in state["_esm"]
    assert notebook.request(bundle, "module")["result"] == views()


# --- the fallback ----------------------------------------------------------------------


def test_the_fallback_has_the_pause_and_no_link(notebook: NotebookKernel, paused: Any):
    views = [
        view(notebook, "%pdflow runs"),
        view(notebook, "%%step ask\ndef handler(pd): pass"),
        view(notebook, f"import jupyter_pdflow\njupyter_pdflow.Run({paused['id']!r})"),
    ]
    for bundle in views:
        for fallback in (bundle["text/plain"], bundle["text/html"]):
            assert paused["id"] in fallback
            assert "paused at step ask: waits for an answer, until " in fallback
        assert "pdflow/resume" not in str(bundle)
        assert "pdflow/resume" not in str(traits(notebook, bundle))


def test_the_fallback_hides_the_secret_of_an_exported_link(notebook: NotebookKernel):
    step = "%%step ask\ndef handler(pd): return [pd.flow.suspend()['resume_url'], 'x']"
    notebook.save(LOAD, step)
    notebook.run("%pdflow production")
    run = notebook.server.wait_run(run_id_of(notebook.run("%pdflow run")), "paused")
    bundle = view(notebook, step)

    secret = run["pause"]["resume_url"].rpartition("/")[2]
    assert run["steps"][0]["exports"]["$return_value"][0].endswith(secret)
    assert "/pdflow/resume/…" in bundle["text/plain"]
    assert secret not in str(bundle)


def test_the_fallback_of_a_settled_run_is_updated(notebook: NotebookKernel, paused: Any):
    ran = notebook.run(f"import jupyter_pdflow\njupyter_pdflow.Run({paused['id']!r})")
    display_id = ran.outputs[0]["transient"]["display_id"]
    notebook.server.api("POST", f"/runs/{paused['id']}/resume", {"data": None})
    notebook.server.wait_run(paused["id"], "succeeded")
    notebook.send_to_view(view_of(ran), {"method": "settled"})
    bundle = notebook.wait_until(lambda: notebook.displays.get(display_id), "an update")

    assert f"Run {paused['id']} of {paused['workflow_name']}: succeeded" in bundle["text/plain"]
    assert ": succeeded" in bundle["text/html"]
    assert bundle[VIEW] == view_of(ran)[VIEW]


def test_converters_use_the_fallback(notebook: NotebookKernel, paused: Any):
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
    assert notebook.value(f"Run({paused['id']!r}).reject('not now').status") == "canceled"
    rejected = notebook.server.get_run(paused["id"])["decisions"][0]
    assert (rejected["outcome"], rejected["by"][0]["note"]) == ("rejected", "not now")


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
    ("code", "message"),
    [
        ("jupyter_pdflow.Run('nothing')", "nothing"),
        ("jupyter_pdflow.Workflow('nothing')", "nothing"),
        ("jupyter_pdflow.Workflow('nothing.ipynb')", "nothing.ipynb is not deployed"),
        ("jupyter_pdflow.runs('waiting')", "status must be one of"),
    ],
)
def test_unknown_ids_and_statuses(notebook: NotebookKernel, code: str, message: str):
    error = notebook.run(f"import jupyter_pdflow\n{code}").error

    assert error is not None
    (line,) = error["traceback"]
    assert message in line


def test_public_names_are_imported_lazily():
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


def test_steps_and_context_are_displayed_as_trees(notebook: NotebookKernel):
    notebook.run("%%step first\ndef handler(pd): return {'<b>': [1, {'deep': None}]}")
    ran = notebook.run("%%step second\ndef handler(pd): display(pd.steps, pd.context)")
    steps, context = ran.bundles

    assert "<details open><summary>" in steps["text/html"]
    assert "<b>&lt;b&gt;</b>" in steps["text/html"]
    assert "'first': {" in steps["text/plain"]
    assert "<b>trace_id</b>" in context["text/html"]
