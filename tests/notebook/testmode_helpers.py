"""Cells and assertions that the tests of test mode share."""

from __future__ import annotations

import re
from typing import Any

from tests.notebook.conftest import VIEW, CellResult

NOTICE = (
    "Workflow execution canceled — this may be due to `pd.flow.suspend()` usage "
    "(not supported in test)"
)
SUSPEND = """\
%%step approve
def handler(pd):
    urls = pd.flow.suspend()
    print(urls["resume_url"], urls["cancel_url"])
    return {"asked": True}
"""
EXPORTS = "get_ipython().pdflow.session.exports"


def notice_of(ran: CellResult) -> dict[str, Any]:
    bundle = next(bundle for bundle in ran.bundles if VIEW in bundle)
    assert bundle["text/plain"] == NOTICE
    assert NOTICE in bundle["text/html"]
    return bundle


def assert_stopped_quietly(ran: CellResult) -> None:
    assert ran.reply["status"] == "error"
    assert ran.reply["traceback"] == []
    assert ran.error is None


def plain(error: dict[str, Any]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
