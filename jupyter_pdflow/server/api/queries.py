"""The queries of lists and counts, read from the parameters of a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, cast, get_args

import msgspec
from tornado.web import RequestHandler

from jupyter_pdflow.exceptions import BadRequestError
from jupyter_pdflow.rules.pauses import PauseKind
from jupyter_pdflow.rules.run import RunStatus
from jupyter_pdflow.stores import MAX_SEARCH_CHARACTERS, MAX_SEARCH_WORDS, QUOTED, RunQuery
from jupyter_pdflow.stores.counts import DAYS, MAX_OFFSET, CountQuery

MAX_RUNS = 500
"""Maximum number of runs in a page of the list."""

DEFAULT_RUNS = 50
"""Number of runs in a page if the request names none."""

LISTED_BY = ("status", "workflow", "pause", "search", "since", "until", "limit")
"""The parameters that all pages of a list have in common."""

_NUMBER = re.compile(r"-?[0-9]{1,9}")

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


def run_query(handler: RequestHandler) -> RunQuery:
    """Return which runs a request asks for, with one run more than its page has.

    Raises
    ------
    BadRequestError
        A parameter can't be used; as for `count_query`.
    """
    return RunQuery(
        status=cast("RunStatus | None", _choice(handler, "status", get_args(RunStatus))),
        workflow_id=handler.get_query_argument("workflow", None),
        pause=cast("PauseKind | None", _choice(handler, "pause", get_args(PauseKind))),
        search=_search(handler),
        since=_instant(handler, "since"),
        until=_instant(handler, "until"),
        before=handler.get_query_argument("before", None),
        limit=_number(handler, "limit", DEFAULT_RUNS, 1, MAX_RUNS) + 1,
    )


def count_query(handler: RequestHandler, now: datetime) -> CountQuery:
    """Return which runs a request has to be counted, and on which days."""
    offset = _number(handler, "offset", 0, -MAX_OFFSET, MAX_OFFSET)
    today = (now + timedelta(minutes=offset)).date()
    return CountQuery(
        workflow_id=handler.get_query_argument("workflow", None),
        search=_search(handler),
        since=_instant(handler, "since"),
        until=_instant(handler, "until"),
        first_day=today - timedelta(days=DAYS - 1),
        offset=offset,
    )


def _number(handler: RequestHandler, name: str, default: int, least: int, most: int) -> int:
    text = handler.get_query_argument(name, str(default))
    # The pattern keeps int() from refusing a text of thousands of digits.
    if _NUMBER.fullmatch(text) and least <= int(text) <= most:
        return int(text)
    msg = f"{name} must be a number from {least} to {most}, not {text[:QUOTED]!r}."
    raise BadRequestError(msg)


def _search(handler: RequestHandler) -> str | None:
    text = handler.get_query_argument("search", None)
    if text is None:
        return None
    if len(text) > MAX_SEARCH_CHARACTERS or len(text.split()) > MAX_SEARCH_WORDS:
        msg = (
            f"search may have {MAX_SEARCH_WORDS} words and {MAX_SEARCH_CHARACTERS:,} "
            f"characters at most, not {len(text.split()):,} and {len(text):,}."
        )
        raise BadRequestError(msg)
    return text


def _choice(handler: RequestHandler, name: str, known: Sequence[str]) -> str | None:
    given = handler.get_query_argument(name, None)
    if given is not None and given not in known:
        msg = f"{name} must be one of {', '.join(known)}, not {given!r}."
        raise BadRequestError(msg)
    return given


def _instant(handler: RequestHandler, name: str) -> datetime | None:
    text = handler.get_query_argument(name, None)
    if text is None:
        return None
    try:
        return msgspec.convert(text, Instant)
    except msgspec.ValidationError:
        msg = (
            f"{name} must be a time as 2026-11-28T09:30:00Z or 2026-11-28T09:30:00%2B01:00, "
            f"not {text[:QUOTED]!r}."
        )
        raise BadRequestError(msg) from None
