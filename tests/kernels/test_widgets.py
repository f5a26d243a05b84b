"""Widgets and displays of a real kernel: what is kept of them, and how they read as text."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_pdflow.kernels.kernel import StepResult
from jupyter_pdflow.kernels.outputs import OutputCollector
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.kernels.widgets import VIEW, Widgets
from tests.kernels.conftest import execution, handler, until, workflow

DEEP: Any = functools.reduce(lambda inner, _: [inner], range(5_000), [])
IMPORTS = "import ipywidgets as w\nfrom IPython.display import SVG, clear_output, display"


async def shown(pool: KernelPool, body: str, setup: str = IMPORTS) -> StepResult:
    flow = workflow(handler(body), setup=(setup,))
    kernel = await pool.acquire(flow, "")
    result = await kernel.execute(execution(flow))
    pool.release(kernel)
    assert result.outcome.error is None
    return result


def texts(result: StepResult) -> list[str]:
    """Return each output as text."""
    return [
        output["data"]["text/plain"] if "data" in output else output["text"]
        for output in result.outputs
    ]


# --- progress bars ----------------------------------------------------------------------


async def test_a_bar_in_a_notebook_ends_at_its_last_state(pool: KernelPool) -> None:
    body = "for _ in tqdm(range(20), desc='a<b'): pass"
    result = await shown(pool, body, "from tqdm.notebook import tqdm")
    (text,) = texts(result)
    assert text.startswith("a<b: 100%|██████████| 20/20 [")
    (view,) = [output["data"][VIEW]["model_id"] for output in result.outputs]
    assert result.widgets[view]["model_name"] == "HBoxModel"


async def test_a_bar_is_seen_while_it_moves(pool: KernelPool) -> None:
    body = """
    with tqdm(total=4) as bar:
        bar.update(1)
        bar.refresh()
        time.sleep(60)
    """
    flow = workflow(handler(body), setup=("import time\nfrom tqdm.notebook import tqdm",))
    kernel = await pool.acquire(flow, "")
    collector = OutputCollector()
    executing = asyncio.create_task(kernel.execute(execution(flow), collector))
    await until(lambda: " 25%|██" in str(collector.finish()), "a quarter is done")
    await kernel.interrupt()
    assert " 25%|██" in str((await executing).outputs)
    pool.release(kernel)


async def test_a_bar_that_does_not_stay_is_gone(pool: KernelPool) -> None:
    body = "for _ in tqdm(range(3), leave=False): pass\nprint('done')"
    assert texts(await shown(pool, body, "from tqdm.notebook import tqdm")) == ["done\n"]


async def test_bars_in_text_end_at_their_last_state(pool: KernelPool) -> None:
    body = """
    for _ in tqdm(range(2), desc='outer'):
        for _ in tqdm(range(3), desc='inner'):
            pass
    """
    (text,) = texts(await shown(pool, body, "from tqdm import tqdm"))
    lines = [line for line in text.split("\n") if line.strip()]
    assert [line[:27] for line in lines if "outer" in line] == ["outer: 100%|██████████| 2/2"]
    assert all(line.startswith(("outer: 100%", "inner: 100%")) for line in lines)


# --- as nbclient does it ------------------------------------------------------------------

CELL = """
out, image = w.Output(), w.Image(value=b"png")
box = w.VBox([out, image, w.IntProgress(value=5, max=10, description="half")])
display(box)
print("before")
out.append_stdout("first ")
with out:
    print("inside")
    display({"text/plain": "shown"}, raw=True)
print("after")
handle = display({"text/plain": "old"}, raw=True, display_id="it")
handle.update({"text/plain": "new"}, raw=True)
with out:
    clear_output(wait=True)
    print("cleared")
"""


async def test_widgets_are_kept_as_nbclient_keeps_them(pool: KernelPool, tmp_path: Any) -> None:
    result = await shown(pool, CELL)
    cell = nbformat.v4.new_code_cell(f"{IMPORTS}\n{CELL}")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    client = NotebookClient(notebook, kernel_name="python3", coalesce_streams=True)
    await client.async_execute()
    (expected,) = notebook.metadata["widgets"].values()
    assert by_kind(result.widgets) == by_kind(expected["state"])
    ours = [without_ids(output) for output in result.outputs]
    theirs = [without_ids(output) for output in notebook.cells[0].outputs]
    ours[0]["data"].pop("text/plain"), theirs[0]["data"].pop("text/plain")
    assert ours == theirs


def by_kind(states: Any) -> list[tuple[str, Any, Any]]:
    """Return the models by their names, without ids, which differ."""
    return sorted(
        (
            state["model_name"],
            [buffer["data"] for buffer in state.get("buffers", [])],
            [
                (name, value if name in ("outputs", "description", "value") else None)
                for name, value in sorted(state["state"].items())
            ],
        )
        for state in states.values()
    )


def without_ids(output: Any) -> Any:
    data = {name: value for name, value in output.get("data", {}).items() if name != VIEW}
    return {**output, "data": data}


async def test_an_output_widget_reads_as_what_it_shows(pool: KernelPool) -> None:
    body = """
    out = w.Output()
    display(w.VBox([w.Label("Result:"), out, w.HTML("<b>a &lt; b</b>")]))
    with out:
        print("inside")
    display(w.IntSlider(3, description="s"))
    """
    assert texts(await shown(pool, body)) == [
        "Result:\ninside\na < b",
        "IntSlider(value=3, description='s')",
    ]


# --- limits and messages that are not as they should be ------------------------------------


def comm(kind: str, model_id: str, state: Any = None, **more: Any) -> dict[str, Any]:
    content = {"comm_id": model_id, "data": {"state": state}, "target_name": "jupyter.widget"}
    return {"msg_type": f"comm_{kind}", "content": {**content, **more}}


def test_widgets_that_do_not_fit_are_dropped_and_the_output_says_so() -> None:
    outputs = OutputCollector()
    outputs.add(comm("open", "small", {"_model_name": "A", "value": 1}))
    outputs.add(comm("open", "large", {"_model_name": "B", "value": "x" * 1_900_000}))
    outputs.add(comm("open", "more", {"_model_name": "C", "value": "x" * 200_000}))
    outputs.add(comm("msg", "small", {"value": "x" * 99_000}))
    outputs.add(comm("msg", "more", {"value": 1}))
    assert outputs.widgets.metadata().keys() == {"small", "large"}
    (note,) = outputs.finish()
    assert note["text"] == "… the state of 1 widgets was too large\n"
    outputs.add(comm("msg", "large", {"value": "x"}))
    outputs.add(comm("open", "other", {"_model_name": "D", "value": "x" * 1_800_000}))
    assert outputs.widgets.metadata().keys() == {"small", "large", "other"}


@pytest.mark.parametrize(
    "message",
    [
        comm("open", "m"),
        comm("open", "m", [1]),
        comm("open", "m", {"_model_name": 5}),
        comm("open", "m", {"_model_name": "A"}, data=None),
        comm("open", "m", {"_model_name": "A"}, comm_id=5),
        comm("open", "m", {"_model_name": "A", "value": DEEP}),
        comm("open", "m", {"_model_name": "A"}, target_name="other"),
        comm("msg", "other", {"_model_name": "A"}),
        comm("open", "m", data={"state": {}, "buffer_paths": [["a"]]}),
        comm("close", "other"),
    ],
)
def test_malformed_widgets_are_ignored(message: dict[str, Any]) -> None:
    widgets = Widgets()
    assert widgets.add(message) is None
    assert all(each["state"] == {"_model_name": 5} for each in widgets.metadata().values())
    assert widgets.text("m") is None


def test_boxes_in_each_other_have_no_text() -> None:
    widgets = Widgets()
    box = {"_model_name": "HBoxModel", "children": ["IPY_MODEL_m"]}
    widgets.add(comm("open", "m", box))
    assert widgets.text("m") is None


# --- displays ---------------------------------------------------------------------------


async def test_svg_is_kept(pool: KernelPool) -> None:
    setup = (
        "%config InlineBackend.figure_formats = ['svg']\nimport matplotlib.pyplot as plt\n"
        + IMPORTS
    )
    result = await shown(pool, "display(SVG('<svg/>'))\nplt.plot([1, 2])\nplt.show()", setup)
    drawn, plotted = (output["data"]["image/svg+xml"] for output in result.outputs)
    assert drawn == "<svg/>"
    assert "<svg" in plotted


def test_a_display_that_can_not_be_stored_is_replaced() -> None:
    outputs = OutputCollector()
    content = {"data": {"application/json": DEEP}, "metadata": {}, "transient": {}}
    outputs.add({"msg_type": "display_data", "content": content})
    (output,) = outputs.finish()
    assert "can't be stored" in output["data"]["text/plain"]
