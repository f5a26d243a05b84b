"""The outputs of steps: in order, bounded, and never overwritten unread."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_pdflow.stores import EXECUTIONS_KEPT, Output, StepOutputs
from jupyter_pdflow.stores.tinydb.outputs import Outputs
from jupyter_pdflow.stores.tinydb.writer import WriterThread


@pytest.fixture
def outputs(tmp_path: Path, writer: WriterThread) -> Outputs:
    return Outputs(tmp_path, writer)


def output(text: str) -> Output:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shown(step: str, execution: int, *texts: str) -> StepOutputs:
    return StepOutputs(step=step, execution=execution, outputs=[*map(output, texts)])


async def test_outputs_by_step_in_order(
    outputs: Outputs, tmp_path: Path, writer: WriterThread
) -> None:
    await outputs.put("r", shown("a", 1, "1"))
    await outputs.put("r", shown("a", 2, "2"))
    await outputs.put("r", shown("b", 2))
    await outputs.put("r", shown("a", 1, "again"))
    for each in (outputs, Outputs(tmp_path, writer)):
        found = (await each.get("r")).by_step()
        assert [output["text"] for output in found["a"]] == ["2", "again"]
        assert "b" not in found
    assert (await outputs.get("other")).by_step() == {}


async def test_a_step_that_shows_nothing_makes_no_file(outputs: Outputs, tmp_path: Path) -> None:
    await outputs.put("r", shown("a", 1))
    assert list((tmp_path / "outputs").iterdir()) == []
    await outputs.put("r", shown("a", 1, "1"))
    await outputs.put("r", shown("a", 1))
    assert (await outputs.get("r")).by_step() == {"a": []}


async def test_old_executions_are_dropped_with_a_note(outputs: Outputs) -> None:
    for execution in range(1, EXECUTIONS_KEPT + 4):
        await outputs.put("r", shown("a", execution, str(execution)))
    found = (await outputs.get("r")).by_step()["a"]
    assert len(found) == EXECUTIONS_KEPT + 1
    assert "first 3 executions" in found[0]["text"]
    assert found[1]["text"] == "4"


async def test_unreadable_outputs_are_not_overwritten(outputs: Outputs, tmp_path: Path) -> None:
    for number, content in enumerate((b"{", b'{"outputs": {"1": {"format": 9}}}'), start=1):
        (tmp_path / "outputs" / "r.json").write_bytes(content)
        assert (await outputs.get("r")).by_step() == {}
        await outputs.put("r", shown("a", 1, "1"))
        assert (await outputs.get("r")).by_step() == {"a": [output("1")]}
        aside = "r.json.unreadable" + ("" if number == 1 else f"-{number}")
        assert (tmp_path / "outputs" / aside).read_bytes() == content
