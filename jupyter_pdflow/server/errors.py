"""Errors as answers: a status and ``{message, reason}``."""

from __future__ import annotations

from http.client import responses
from typing import Any

from tornado.web import HTTPError

from jupyter_pdflow.exceptions import PDFlowError

REASONS = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    503: "unavailable",
}


def error_answer(status: int, error: BaseException | None) -> tuple[int, dict[str, Any]]:
    """Tell the status and the body of the answer to a request that failed.

    Parameters
    ----------
    status : int
        The status that Tornado would answer with.
    error : BaseException or None
        What went wrong.
    """
    if isinstance(error, PDFlowError):
        return error.status, {"message": str(error), "reason": error.reason}
    if isinstance(error, OSError):
        words = f"The data directory can't be used: {error.strerror or error}. Nothing was changed."
        return 503, {"message": words, "reason": "storage"}
    if isinstance(error, HTTPError):
        words = _words(error) or responses.get(status, "Error")
        return status, {"message": words, "reason": REASONS.get(status, "error")}
    words = "Something went wrong in the server; its log says what."
    return status, {"message": words, "reason": REASONS.get(status, "error")}


def _words(error: HTTPError) -> str:
    # Tornado doubles the percent signs of a message without arguments.
    return error.log_message % error.args if error.log_message else ""
