"""A run as an executed notebook."""

from __future__ import annotations

import base64
import re
from typing import Any

import nbformat
import pytest
from msgspec.structs import replace

from jupyter_pdflow.kernels.widgets import STATE, VIEW
from jupyter_pdflow.rules.pauses import Decider, PauseCall
from jupyter_pdflow.rules.run import Error, Run
from jupyter_pdflow.server.executed_notebook import INVALID_OUTPUT_TEXT, notebook_text
from jupyter_pdflow.server.links.tokens import without_links
from jupyter_pdflow.stores import KeptOutputs, StepOutputs
from tests.rules.support import START, RunDriver, workflow

GOOD = {"output_type": "stream", "name": "stdout", "text": "good"}


def kept(*outputs: Any, **more: Any) -> KeptOutputs:
    return KeptOutputs(shown=[StepOutputs(step="a", execution=1, outputs=[*outputs], **more)])


@pytest.mark.parametrize(
    "output",
    [
        None,
        3,
        "text",
        [],
        {},
        {"output_type": None},
        {"output_type": "bogus"},
        {"output_type": "stream"},
        {"output_type": "stream", "name": "stdout", "text": {"a": 1}},
        {"output_type": "display_data", "data": {"text/plain": 5}, "metadata": {}},
        {"output_type": "display_data", "data": [], "metadata": {}},
        {"output_type": "error", "ename": "E", "evalue": "e", "traceback": "no list"},
        {"output_type": "execute_result", "data": {}, "metadata": {}, "execution_count": "1"},
        {**GOOD, "more": 1},
    ],
)
def test_an_invalid_output_is_replaced_and_the_others_stay(output: Any) -> None:
    run = RunDriver("a").run
    text = notebook_text(run, workflow("a"), kept(GOOD, output, GOOD))
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    good, replaced, last = notebook.cells[-1].outputs
    assert good == last == GOOD
    assert (replaced.name, replaced.text) == ("stderr", INVALID_OUTPUT_TEXT)


# --- what it says of the run --------------------------------------------------------------

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


def notebook_of(run: Run, outputs: KeptOutputs | None = None) -> Any:
    names = [step.name for step in run.steps]
    version = replace(workflow(*names), number=3)
    text = notebook_text(run, version, outputs or KeptOutputs())
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    return notebook


def decided(**decider: Any) -> Run:
    driver = RunDriver("a", "b")
    driver.step(flow=PauseCall(kind="suspend", ms=1_000))
    run = driver.resume()
    given = {"via": "button", "at": START, **decider}
    (decision,) = run.decisions
    return replace(run, decisions=(replace(decision, deciders=(Decider(**given),)),))


def test_the_first_cell_says_what_the_run_was() -> None:
    driver = RunDriver("a", event={"customer": "ü"})
    run = driver.step(took=2_500, error=Error(ename="ValueError", evalue="no *such* thing"))
    (header, _, about) = notebook_of(run).cells
    for part in (
        "# w\n",
        "| Run | `r` |",
        "| Version | 3 (`v1`) |",
        "| Notebook | w\\.ipynb |",
        "| Status | failed: ValueError\\: no \\*such\\* thing |",
        "| Started | 2026-01-01 00:00:00 UTC",
        "| Ended | 2026-01-01 00:00:02 UTC |",
        "| Time | 2.5 s of computing |",
        'Event:\n\n```json\n{\n  "customer": "ü"\n}\n```',
    ):
        assert part in header.source
    assert about.source == "**a** failed after 2.5 s: ValueError\\: no \\*such\\* thing"


def test_a_step_has_its_times_as_jupyterlab_records_them() -> None:
    driver = RunDriver("a", "b")
    driver.step(took=2_500)
    _, a, _, b = notebook_of(driver.run).cells
    assert a.metadata.execution["iopub.execute_input"] == "2026-01-01T00:00:00.000Z"
    assert a.metadata.execution["shell.execute_reply"] == "2026-01-01T00:00:02.500Z"
    assert b.metadata == {}


@pytest.mark.parametrize(
    ("decider", "said"),
    [
        (
            {"name": "ada", "note": "looks\n_good_"},
            " by ada, 2026-01-01 00:00:00 UTC, from JupyterLab: looks \\_good\\_",
        ),
        (
            {"name": "a@b.c", "via": "link"},
            " by a\\@b\\.c, 2026-01-01 00:00:00 UTC, with a personal link",
        ),
        ({"via": "link"}, ", 2026-01-01 00:00:00 UTC, with a link"),
        ({"via": "api"}, ", 2026-01-01 00:00:00 UTC, through the API"),
    ],
)
def test_decisions_are_said_in_words(decider: dict[str, Any], said: str) -> None:
    about = notebook_of(decided(**decider)).cells[2].source
    assert f"\n- Resumed{said}\n" in about


def test_exports_are_shown_and_images_as_images() -> None:
    exports = {
        "short": {"a": 1},
        "image": f"data:image/png;base64,{PNG}",
        "file": {"filename": "x", "content_type": "image/png", "size": 1, "base64": PNG},
        "text": "data:text/html;base64,PGI+",
        "wrong": "data:image/png;base64,A",
        "long": "x" * 30_000,
    }
    driver = RunDriver("a")
    driver.step(exports=exports)
    about = notebook_of(driver.run).cells[2].source
    assert 'Export short:\n\n```json\n{\n  "a": 1\n}\n```' in about
    for name in ("image", "file"):
        assert f"Export {name}:\n\n![image](data:image/png;base64,{PNG})" in about
    for name in ("text", "wrong"):
        assert f'Export {name}:\n\n```json\n"data:' in about
    assert "… 10,002 more characters\n```" in about
    assert len(about) < 22_000


# --- outputs that need more than their cell ------------------------------------------------


def display(**data: Any) -> dict[str, Any]:
    named = {name.replace("__", "/").replace("_xml", "+xml"): value for name, value in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "it", **named}}


def shown_data(output: Any, **more: Any) -> Any:
    driver = RunDriver("a")
    driver.step()
    return notebook_of(driver.run, kept(output, **more)).cells[1].outputs[0].data


def test_svg_is_also_an_image() -> None:
    data = shown_data(display(image__svg_xml="<svg width='1'/>"))
    assert data["image/svg+xml"] == "<svg width='1'/>"
    address = re.fullmatch(
        r'<img alt="SVG image" src="data:image/svg\+xml;base64,(.*)">', data["text/html"]
    )
    assert address is not None
    svg = base64.b64decode(address[1]).decode()
    assert svg == """<svg xmlns="http://www.w3.org/2000/svg" width='1'/>"""
    assert "text/html" not in shown_data(display(image__svg_xml="<svg/>", image__png=PNG))


def test_states_of_widgets_are_in_the_metadata() -> None:
    view = {"output_type": "display_data", "metadata": {}}
    view["data"] = {
        VIEW: {"model_id": "m", "version_major": 2, "version_minor": 0},
        "text/plain": "it",
    }
    states = {"m": {"model_name": "A", "state": {"value": 1}}}
    driver = RunDriver("a")
    driver.step()
    notebook = notebook_of(driver.run, kept(view, widgets=states))
    assert notebook.metadata.widgets == {
        STATE: {"state": states, "version_major": 2, "version_minor": 0}
    }
    assert notebook.cells[1].outputs[0].data == view["data"]
    # A view of a widget that is not kept would be shown as an error.
    assert shown_data(view) == {"text/plain": "it"}
    assert shown_data({**view, "data": {VIEW: 5, "text/plain": "it"}}) == {"text/plain": "it"}


def test_links_are_hidden_before_they_are_escaped() -> None:
    link = "http://127.0.0.1/pdflow/resume/ab_cd-ef.gh"
    driver = RunDriver("a", event={"link": link})
    run = driver.step(error=Error(ename="ValueError", evalue=link), exports={link: link})
    text = notebook_text(without_links(run), workflow("a"), KeptOutputs())
    assert "resume" in text
    assert not re.search(r"ab.{0,3}cd", text)


def test_links_are_hidden_before_they_are_in_an_image() -> None:
    link = "http://127.0.0.1/pdflow/resume/abcdef"
    output = display(image__svg_xml=f"<svg><text>{link}</text></svg>")
    (hidden,) = without_links(kept(output)).shown
    assert "abcdef" not in str(hidden)
    assert "/pdflow/resume/[hidden]" in hidden.outputs[0]["data"]["image/svg+xml"]
