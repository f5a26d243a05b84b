"""The records of a run as they are stored."""

from __future__ import annotations

from msgspec import to_builtins
from msgspec.json import decode, encode

from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import EmailRequest, Run
from tests.rules.support import RunDriver, rerun, suspend


def test_names_of_stored_fields_stay() -> None:
    driver = RunDriver()
    driver.step(**suspend(), emails=[EmailRequest(subject="Hi")])
    driver.resume(ok=True)
    driver.send(Begin())
    driver.resume(early=True)
    stored = to_builtins(driver.run)
    assert {"woken", "woken_at", "early"} <= set(stored)
    assert stored["decisions"][0]["how"] == "resumed"
    assert stored["outbox"][0]["mail"]["subject"] == "Hi"
    assert "mails" in to_builtins(driver.finished(emails=[EmailRequest(subject="Ho")]).outcome)


def test_stored_run_is_read_again() -> None:
    driver = RunDriver()
    driver.step(**rerun(), emails=[EmailRequest(subject="Hi")])
    driver.resume(ok=True)
    assert decode(encode(driver.run), type=Run) == driver.run
