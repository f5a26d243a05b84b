"""The versions of workflows stay, and two notebooks never share a workflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import NewerFormatError, NotFoundError
from jupyter_pdflow.rules.workflow import Source, StepSource
from jupyter_pdflow.stores.tinydb.workflows import Workflows
from jupyter_pdflow.stores.tinydb.writer import WriterThread
from tests.rules.support import START
from tests.stores.tinydb.support import failing

HOUR = timedelta(hours=1)

Open = Callable[[], Workflows]


@pytest.fixture
def reopen(tmp_path: Path, writer: WriterThread) -> Open:
    return lambda: Workflows(tmp_path, writer)


def source(text: str) -> Source:
    step = StepSource(name="a", source=text)
    return Source(kernel_name="python3", setup=(), steps=(step,))


async def test_versions_of_a_workflow(reopen: Open) -> None:
    workflows = reopen()
    first, new = await workflows.deploy("sub/My Flow.ipynb", source("1"), START)
    assert new
    assert (first.id, first.name) == ("sub-my-flow", "My Flow")
    assert await workflows.deploy("sub/My Flow.ipynb", source("1"), START) == (first, False)
    second, new = await workflows.deploy("sub/My Flow.ipynb", source("2"), START)
    assert new
    assert second.version != first.version
    for each in (workflows, reopen()):
        assert each.get("sub-my-flow") == second
        assert each.get("sub-my-flow", first.version) == first
        assert each.all() == [second]
    assert (await workflows.deploy("sub/My Flow.ipynb", source("1"), START))[1]
    assert reopen().get("sub-my-flow").version == first.version


async def test_a_version_that_can_not_be_stored_is_unknown(reopen: Open) -> None:
    workflows = reopen()
    first, _ = await workflows.deploy("flow.ipynb", source("1"), START)
    with failing("fsync"), pytest.raises(OSError, match="No space"):
        await workflows.deploy("flow.ipynb", source("2"), START)
    for each in (workflows, reopen()):
        assert each.all() == [first]


async def test_a_file_that_was_not_loaded_is_not_overwritten(reopen: Open, tmp_path: Path) -> None:
    first, _ = await reopen().deploy("flow.ipynb", source("1"), START)
    path = tmp_path / "workflows" / "flow.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"format":2', b'"format":9'))
    workflows = reopen()
    with pytest.raises(NewerFormatError):
        await workflows.deploy("flow.ipynb", source("2"), START)
    path.write_bytes(content)
    second, _ = await workflows.deploy("flow.ipynb", source("2"), START)
    assert reopen().get("flow", first.version) == first
    assert reopen().get("flow") == second


async def test_two_paths_never_have_the_same_id(reopen: Open) -> None:
    workflows = reopen()
    paths = ["a/b.ipynb", "a-b.ipynb", "A-B.ipynb", "日本.ipynb", "…/…ipynb"]
    ids = [(await workflows.deploy(path, source("1"), START))[0].id for path in paths]
    assert len(set(ids)) == len(paths)
    again = [(await reopen().deploy(path, source("1"), START))[0].id for path in paths]
    assert again == ids


async def test_files_of_older_versions_get_numbers_by_time(reopen: Open, tmp_path: Path) -> None:
    workflows = reopen()
    for hours in (3, 1, 2):
        await workflows.deploy("flow.ipynb", source(str(hours)), START + hours * HOUR)
    path = tmp_path / "workflows" / "flow.json"
    older = re.sub(rb',"number":\d+', b"", path.read_bytes())
    path.write_bytes(older)
    for each in (reopen(), reopen()):
        found = each.versions("flow", 9)
        assert [summary.number for summary in found] == [3, 2, 1]
        assert [summary.created_at for summary in found] == [START + n * HOUR for n in (3, 2, 1)]
        assert [summary.current for summary in found] == [False, True, False]
        assert each.get("flow").number == 2
    assert path.read_bytes() == older
    fourth, _ = await reopen().deploy("flow.ipynb", source("4"), START)
    assert fourth.number == 4
    assert b'"number":3' in path.read_bytes()


async def test_an_unknown_workflow(reopen: Open) -> None:
    with pytest.raises(NotFoundError, match="nope"):
        reopen().get("nope")
