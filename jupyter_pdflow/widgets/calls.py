"""What a live view asks the server for through the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from jupyter_pdflow.exceptions import ApiError, BadRequestError, PDFlowError

if TYPE_CHECKING:
    from jupyter_pdflow.client import Client

NO_ANSWER = 0
"""The status of an error where the server did not answer."""


def run_path(run_id: str, action: str = "") -> str:
    """Give the path of a run, or of what can be done with it, below ``/pdflow/api``."""
    path = f"runs/{quote(run_id, safe='')}"
    return f"{path}/{action}" if action else path


def answer(client: Client, method: object, args: object) -> dict[str, Any]:
    """Send a view's request to the server.

    Parameters
    ----------
    client : Client
        The server.
    method : str
        ``GET`` or ``POST``.
    args : list
        A path below ``/pdflow/api``, for ``GET`` with its query; the data of a ``POST``.

    Returns
    -------
    dict
        ``{"result": …}``, or ``{"error": {"message", "reason", "status"}}``.
    """
    try:
        return {"result": _sent(client, method, args)}
    except PDFlowError as error:
        status = error.status if isinstance(error, ApiError | BadRequestError) else NO_ANSWER
        return {"error": {"message": str(error), "reason": error.reason, "status": status}}


def _sent(client: Client, method: object, args: object) -> Any:
    match method, args:
        case "GET", [str(path)]:
            path, _, query = path.partition("?")
            return client.get(path, **dict(parse_qsl(query)))
        case "POST", [str(path), dict(data)]:
            return client.post(path, data)
    msg = "A view can only GET a path and POST an object to one."
    raise BadRequestError(msg)
