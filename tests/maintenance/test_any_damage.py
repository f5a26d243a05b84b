"""With any content of any file of a data directory, a server starts and other runs continue."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import KeyFileError
from jupyter_pdflow.maintenance.doctor import examine, repair
from jupyter_pdflow.rules.events import Answer
from jupyter_pdflow.stores.tinydb.layout import FINISHED, DataDir
from tests.maintenance.open_services import (
    NOW,
    Log,
    decide_all,
    open_services,
    read_all,
    use_links,
)
from tests.maintenance.server_data import DEAD_PORT, ServerData, damaged

UNREADABLE = ".unreadable"
MONTHS = timedelta(days=90)
"""After this time all pauses have run out."""


@settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_value_at_any_place_of_any_file(server_data: ServerData, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(server_data.files()).flatmap(st.sampled_from), "file")
    content = data.draw(damaged((server_data.path / name).read_bytes()), "content")
    smtp = data.draw(st.sampled_from(["", DEAD_PORT]), "smtp_url")
    later = data.draw(st.sampled_from([NOW, MONTHS]), "later")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(server_data.path, Path(folder) / "data"))
        (path / name).write_bytes(content)
        before = doctor(path)
        asyncio.run(open_and_check(server_data, path, name, before, smtp=smtp, later=later))
        repair(DataDir(path))
        note(doctor(path))


def doctor(path: Path) -> str:
    findings = examine(DataDir(path)).findings
    return "\n".join(finding.problem for finding in findings)


async def open_and_check(
    server_data: ServerData,
    path: Path,
    name: str,
    before: str,
    *,
    smtp: str = "",
    later: timedelta = NOW,
) -> None:
    others = [run_id for run_id in server_data.last if run_id not in name]
    kept = {run_id for run_id in DataDir(path).ids(FINISHED) if run_id not in name}
    with Log() as log:
        try:
            async with open_services(path, smtp, later) as services:
                await read_all(services)
                for run_id in others:
                    await check_continues(services.service, run_id, late=later == MONTHS)
                for run_id in kept:
                    assert (await services.service.run(run_id)).ended
                    has_history = DataDir(path).name(FINISHED, run_id).endswith(".jsonl")
                    assert bool(await services.service.history(run_id)) == has_history
                await use_links(services, Path(name).stem, "last", 1)
                await decide_all(services)
                await read_all(services)
        except KeyFileError:
            assert name == "link_keys"
            assert "can't be used" in before
    check_reports(path, before, "\n".join(log.lines))


async def check_continues(engine: Service, run_id: str, *, late: bool) -> None:
    if not late:
        await engine.resume(run_id, Answer("api", {"body": 1}))
    async with asyncio.timeout(10):
        while (await engine.run(run_id)).status != "succeeded":
            await asyncio.sleep(0.01)


def check_reports(path: Path, before: str, said: str) -> None:
    """The doctor names each file that is set aside, before and afterwards, and so does the log."""
    assert "Traceback" not in said, said
    after = doctor(path)
    for file in path.rglob(f"*{UNREADABLE}*"):
        right = str(file.relative_to(path)).partition(UNREADABLE)[0]
        assert right in before, (right, before)
        assert file.name in said
        assert f"{right}{UNREADABLE}" in after


def test_what_was_not_damaged_is_all_right(server_data: ServerData, tmp_path: Path) -> None:
    path = Path(shutil.copytree(server_data.path, tmp_path / "data"))
    assert "set aside" not in doctor(path)
    asyncio.run(open_and_check(server_data, path, "", ""))
    assert not list(path.rglob(f"*{UNREADABLE}*"))
