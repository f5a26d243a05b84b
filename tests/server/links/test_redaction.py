"""Hiding the tokens of links in logs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jupyter_pdflow.server.links.tokens import ACTIONS, Links, Redaction, redact


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("404 GET /pdflow/resume/abc.def-_ (@1.2.3.4)", "404 GET /pdflow/resume/*** (@1.2.3.4)"),
        ("referer=http://h/b/pdflow/cancel/abc?a=1", "referer=http://h/b/pdflow/cancel/***?a=1"),
        ('{"a": "/pdflow//resume//abc"}', '{"a": "/pdflow//resume//***"}'),
        ("/PDFLOW/RESUME/abc /pdflow/cancel/x", "/PDFLOW/RESUME/*** /pdflow/cancel/***"),
        ("/pdflow/api/runs/1/resume", "/pdflow/api/runs/1/resume"),
    ],
)
def test_tokens_are_hidden(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_tokens_in_arguments_of_a_record_are_hidden(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(Redaction())
    logging.getLogger("here").warning("%s came from %s", 1, "/pdflow/resume/abc")
    logging.getLogger("here").warning("%d %s", 1, "no link")
    assert caplog.messages == ["1 came from /pdflow/resume/***", "1 no link"]


@pytest.mark.parametrize("step", ["a", "approve", "step_" * 40])
def test_a_token_without_its_link_is_hidden(tmp_path: Path, step: str) -> None:
    links = Links.from_files(tmp_path / "link_keys", lambda: "http://here/")
    for action in ACTIONS:
        token = links.token(action, "01M81ZHT5F913A3DQNJDS79A3W", step, 3)
        assert redact(f"KeyError: '{token}' in {token}.") == "KeyError: '***' in ***."


def test_tokens_in_a_traceback_are_hidden(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(Redaction())
    try:
        int("/pdflow/resume/abc")
    except ValueError:
        logging.getLogger("here").exception("Uncaught")
    assert "ValueError: invalid literal" in caplog.text
    assert "/pdflow/resume/***" in caplog.text
    assert "abc" not in caplog.text
