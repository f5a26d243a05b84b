"""Whatever a file of a data directory holds: the server starts, and the other runs go on."""

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
from jupyter_pdflow.maintenance.datadir import DataDir
from jupyter_pdflow.maintenance.doctor import examine, repair
from tests.engine.support import until
from tests.maintenance.lived import DEAD_PORT, Lived, damaged
from tests.maintenance.opened import NOW, Log, decide_all, look_at_all, opened, use_links

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
def test_any_value_at_any_place_of_any_file(lived: Lived, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(lived.files()).flatmap(st.sampled_from), "file")
    content = data.draw(damaged((lived.path / name).read_bytes()), "content")
    smtp = data.draw(st.sampled_from(["", DEAD_PORT]), "smtp_url")
    later = data.draw(st.sampled_from([NOW, MONTHS]), "later")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(lived.path, Path(folder) / "data"))
        (path / name).write_bytes(content)
        before = doctor(path)
        asyncio.run(go_on(lived, path, name, before, smtp=smtp, later=later))
        repair(DataDir(path))
        note(doctor(path))


def doctor(path: Path) -> str:
    findings = examine(DataDir(path)).findings
    return "\n".join(finding.problem for finding in findings)


async def go_on(
    lived: Lived, path: Path, name: str, before: str, *, smtp: str = "", later: timedelta = NOW
) -> None:
    others = [run_id for run_id in lived.last if run_id not in name]
    kept = {file.stem for file in (path / "finished").glob("*.json") if file.stem not in name}
    with Log() as log:
        try:
            async with opened(path, smtp, later) as services:
                await look_at_all(services)
                for run_id in others:
                    await goes_on(services.service, run_id, late=later == MONTHS)
                for run_id in kept:
                    services.service.run(run_id)
                await use_links(services, Path(name).stem, "last", 1)
                await decide_all(services)
                await look_at_all(services)
        except KeyFileError:
            assert name == "link_keys"
            assert "can't be used" in before
    check_what_was_said(path, before, "\n".join(log.lines))


async def goes_on(engine: Service, run_id: str, *, late: bool) -> None:
    if not late:
        await engine.resume(run_id, "api", {"body": 1})
    await until(lambda: engine.run(run_id).status == "succeeded")


def check_what_was_said(path: Path, before: str, said: str) -> None:
    """Whatever is set aside is named by the doctor, before and afterwards, and in the log."""
    assert "Traceback" not in said, said
    after = doctor(path)
    for file in path.rglob(f"*{UNREADABLE}*"):
        right = str(file.relative_to(path)).partition(UNREADABLE)[0]
        assert right in before, (right, before)
        assert file.name in said
        assert f"{right}{UNREADABLE}" in after


def test_what_was_not_damaged_is_all_right(lived: Lived, tmp_path: Path) -> None:
    path = Path(shutil.copytree(lived.path, tmp_path / "data"))
    assert "set aside" not in doctor(path)
    asyncio.run(go_on(lived, path, "", ""))
    assert not list(path.rglob(f"*{UNREADABLE}*"))
