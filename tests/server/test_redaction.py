"""What logs say of links."""

from __future__ import annotations

import logging

import pytest

from jupyter_pdflow.server.redaction import Redaction, redact


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
def test_links_lose_their_secret(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_arguments_of_a_record_are_seen_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(Redaction())
    logging.getLogger("here").warning("%s came from %s", 1, "/pdflow/resume/abc")
    logging.getLogger("here").warning("%d %s", 1, "no link")
    assert caplog.messages == ["1 came from /pdflow/resume/***", "1 no link"]
