"""The client of the REST API: find a Jupyter server with jupyter_pdflow, and send requests to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_pdflow import models
from jupyter_pdflow.exceptions import ApiError, NotebookError, ServerNotFoundError
from jupyter_pdflow.rest import CONNECT_SECONDS, RestConnection
from jupyter_pdflow.settings import (
    HUB_TOKEN_VARIABLE,
    SERVER_PID_VARIABLE,
    TOKEN_VARIABLE,
    URL_VARIABLE,
)

LOCKED = 503


@dataclass(frozen=True)
class Client(RestConnection):
    """The REST API of one Jupyter server.

    Parameters
    ----------
    root_dir : pathlib.Path or None
        The folder that the server serves, or None if it is unknown. The other parameters and the
        errors are those of `RestConnection`.
    """

    root_dir: Path | None = None

    # --- runs -------------------------------------------------------------------------

    def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        pause: str | None = None,
        search: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[models.RunItem]:
        """Return runs, newest first; 50 if `limit` does not say otherwise.

        Parameters
        ----------
        status, workflow : str, optional
            Only runs with this status, or of the workflow with this id.
        pause : str, optional
            Only runs that are paused in this way: ``suspend``, ``rerun`` or ``delay``.
        search : str, optional
            Only runs with each of these words, 32 at most, in their title, workflow's name or
            event; and the run with this id.
        since, until : datetime, optional
            Only runs that were created then or later, or earlier. Without a time zone, the times
            are local.
        limit : int, optional
            Maximum number of runs.
        before : str, optional
            Only runs that were started before the run with this id.
        """
        query = {"status": status, "workflow": workflow, "pause": pause, "search": search}
        times = {"since": _instant(since), "until": _instant(until)}
        page = {"limit": limit, "before": before}
        return self.get_as(list[models.RunItem], "runs", **query, **times, **page)

    def counts(
        self,
        *,
        workflow: str | None = None,
        search: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> models.RunCounts:
        """Return numbers of runs, by status, workflow and local day; the filters are as of `runs`."""
        query = {"workflow": workflow, "search": search}
        times = {"since": _instant(since), "until": _instant(until)}
        return self.get_as(models.RunCounts, "runs/counts", **query, **times, offset=_offset())

    def run(self, run_id: str) -> models.Run:
        """Return a run."""
        return self.get_as(models.Run, run_path(run_id))

    def run_notebook(self, run_id: str) -> Any:
        """Return a run as an executed notebook in nbformat 4."""
        return self.get(run_path(run_id, "notebook"))

    def run_files(self, run_id: str) -> list[models.RunFile]:
        """Return the files that the steps of a run have saved."""
        return self.get_as(list[models.RunFile], run_path(run_id, "files"))

    def start(self, workflow_id: str, event: Any, by: models.Caller = "api") -> models.Run:
        """Start a run of the newest version of a workflow, and return it."""
        body = models.StartBody(event=event, by=by)
        return self.post_as(models.Run, f"{workflow_path(workflow_id)}/runs", body)

    def inbox(self) -> list[models.InboxItem]:
        """Return what waits for the user of this client, newest first."""
        return self.get_as(list[models.InboxItem], "inbox")

    def resume(
        self,
        run_id: str,
        data: Any = None,
        by: models.Caller = "api",
        *,
        note: str | None = None,
    ) -> models.Run:
        """Resume, or approve, a paused run, and return it.

        Parameters
        ----------
        run_id : str
            The run's id.
        data : JSON value, optional
            The answer. If the pause has a form, it has to match that.
        by : str
            Whether a program, a person in Jupyter or the command line sends the request.
        note : str, optional
            Kept with the decision.

        Returns
        -------
        Run
            Still paused if more approvers have to approve.

        Raises
        ------
        ApiError
            The run is not paused. With the reason ``invalid_answer`` the answer does not match the
            form, and `errors` names each wrong field; with ``approvers_only`` the user may not
            decide. The pause stays then.
        """
        body = models.ResumeBody(data=data, note=note, by=by)
        return self.post_as(models.Run, run_path(run_id, "resume"), body)

    def reject(self, run_id: str, note: str | None = None, by: models.Caller = "api") -> models.Run:
        """Reject what a paused run asks, and return the run; errors as for `resume`."""
        body = models.RejectBody(note=note, by=by)
        return self.post_as(models.Run, run_path(run_id, "reject"), body)

    def cancel(
        self, run_id: str, reason: str | None = None, by: models.Caller = "api"
    ) -> models.Run:
        """Cancel a run that has not ended, and return it."""
        body = models.CancelBody(reason=reason, by=by)
        return self.post_as(models.Run, run_path(run_id, "cancel"), body)

    def health(self) -> models.Health:
        """Return the state of the server and the workers."""
        return self.get_as(models.Health, "health")

    def emails(self, run_id: str | None = None) -> list[models.Email]:
        """Return the newest emails of steps, newest first; only those of a run, if one is given."""
        return self.get_as(list[models.Email], "mail", run=run_id)

    # --- workflows --------------------------------------------------------------------

    def workflows(self) -> list[models.Workflow]:
        """Return the newest version of each workflow."""
        return self.get_as(list[models.Workflow], "workflows")

    def workflow(self, workflow_id: str) -> models.Workflow:
        """Return the newest version of a workflow."""
        return self.get_as(models.Workflow, workflow_path(workflow_id))

    def versions(self, workflow_id: str) -> list[models.VersionItem]:
        """Return the newest versions of a workflow, newest first; at most 100."""
        return self.get_as(list[models.VersionItem], f"{workflow_path(workflow_id)}/versions")

    def version(self, workflow_id: str, version: str) -> models.Version:
        """Return a version of a workflow with its code."""
        path = f"{workflow_path(workflow_id)}/versions/{quote(version, safe='')}"
        return self.get_as(models.Version, path)

    def deployment(self, path: str) -> models.Deployment:
        """Return what is deployed of a saved notebook, and whether it was edited since."""
        return self.get_as(models.Deployment, "deployment", path=path)

    def deploy(self, path: str) -> models.Workflow:
        """Deploy a saved notebook; `path` is relative to the server's root, see `relative`."""
        return self.post_as(models.Workflow, "workflows", models.DeployBody(path=path))

    # --- notebooks --------------------------------------------------------------------

    def notebook(self, path: str) -> dict[str, Any]:
        """Return a saved notebook in nbformat 4, read through Jupyter's contents API.

        Parameters
        ----------
        path : str
            The notebook's path relative to the server's root, see `relative`.
        """
        params = {"type": "notebook", "content": "1"}
        model = self._request("GET", f"api/contents/{quote(path)}", params=params)
        content: dict[str, Any] = model["content"]
        return content

    def notebook_of(self, kernel_id: str | None) -> str | None:
        """Return the current path of a kernel's notebook, or None if no session has them."""
        for session in self._request("GET", "api/sessions"):
            kernel = session.get("kernel") or {}
            if kernel_id and kernel.get("id") == kernel_id and session.get("type") == "notebook":
                return str(session["path"])
        return None

    def relative(self, path: str | os.PathLike[str]) -> str:
        """Return a notebook's path relative to the server's root, with forward slashes.

        Raises
        ------
        NotebookError
            The notebook is not in the folder that the server serves, or the folder is unknown and
            the path is absolute.
        """
        if self.root_dir is None:
            return self._relative_to_unknown_root(Path(path))
        relative = self._below_root(path)
        if relative is None:
            msg = (
                f"{Path(path)} is outside {self.root_dir}, the folder that the server at "
                f"{self.url} serves; move the notebook there or start Jupyter above it."
            )
            raise NotebookError(msg)
        return relative.as_posix()

    def contains(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path is in the folder that the server serves."""
        return self._below_root(path) is not None

    def _below_root(self, path: str | os.PathLike[str]) -> Path | None:
        """Return the path relative to the root, or None if it is outside."""
        if self.root_dir is None:
            return None
        # First without resolving symbolic links: a link in the root to a file elsewhere is served
        # under the link's own path.
        for absolute in (_absolute, Path.resolve):
            whole, root = absolute(Path(path)), absolute(self.root_dir)
            if whole.is_relative_to(root):
                return whole.relative_to(root)
        return None

    def _relative_to_unknown_root(self, path: Path) -> str:
        if path.is_absolute():
            msg = (
                f"The folder that the server at {self.url} serves is not known; "
                "give the notebook's path relative to that folder."
            )
            raise NotebookError(msg)
        return path.as_posix()


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
) -> Client:
    """Return a client of a Jupyter server with jupyter_pdflow.

    Without ``url``, the environment variables ``JUPYTER_PDFLOW_URL`` and ``JUPYTER_PDFLOW_TOKEN``
    name the server. If they are not set, it is the server that has started this kernel. Outside of
    a kernel it is a running server of this user.

    Parameters
    ----------
    url : str, optional
        The server's address with its base URL, such as ``http://127.0.0.1:8888/``.
    token : str, optional
        Jupyter's token for the server at ``url``; by default the token of the running server with
        that URL, or JupyterHub's.
    path : str or os.PathLike, optional
        A file or folder; of several servers the one that serves it is preferred.

    Returns
    -------
    Client

    Raises
    ------
    ServerNotFoundError
        No server was found. A server at ``url`` is not contacted here.
    """
    infos = list(_running())
    url = url or os.environ.get(URL_VARIABLE)
    if url:
        return _explicit(url, token, infos)
    parent = os.environ.get(SERVER_PID_VARIABLE, "")
    for info in infos:
        if str(info.get("pid")) == parent:
            return _client(info)
    found = [(rank, client) for client in map(_client, infos) if (rank := _rank(client, path))]
    if not found:
        raise ServerNotFoundError(_none_found(len(infos)))
    return max(found, key=lambda pair: pair[0])[1]


def run_path(run_id: str, action: str = "") -> str:
    """Return the path of a run, or of an action on it, below ``/pdflow/api``."""
    path = f"runs/{quote(run_id, safe='')}"
    return f"{path}/{action}" if action else path


def workflow_path(workflow_id: str) -> str:
    """Return the path of a workflow below ``/pdflow/api``."""
    return f"workflows/{quote(workflow_id, safe='')}"


def _instant(at: datetime | None) -> str | None:
    """Return a time as the API takes it; one without a time zone is local."""
    return None if at is None else at.astimezone().isoformat()


def _offset() -> int:
    """Return how many minutes the local time is ahead of UTC."""
    ahead = datetime.now().astimezone().utcoffset() or timedelta()
    return ahead // timedelta(minutes=1)


def server_of(pid: int) -> Client | None:
    """Return a client of the Jupyter server with this process id, or None until it listens."""
    for info in _running():
        if info.get("pid") == pid:
            return _client(info)
    return None


def _explicit(url: str, token: str | None, infos: list[dict[str, Any]]) -> Client:
    url = url.rstrip("/") + "/"
    known = [client for client in map(_client, infos) if client.url == url]
    root = known[0].root_dir if known else None
    token = token or os.environ.get(TOKEN_VARIABLE)
    token = token or (known[0].token if known else _hub_token())
    return Client(url, token, root)


def _running() -> Iterator[dict[str, Any]]:
    """Yield the info files of this user's servers; a server that was killed has left its own."""
    # Jupyter server's own `list_running_servers` takes seconds to import.
    for path in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        try:
            info = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(info, dict) and info.get("url"):
            yield info


def _client(info: dict[str, Any]) -> Client:
    root = info.get("root_dir")
    token = info.get("token") or _hub_token()
    return Client(str(info["url"]).rstrip("/") + "/", token, Path(root) if root else None)


def _rank(client: Client, path: str | os.PathLike[str] | None) -> tuple[bool, bool, int] | None:
    """Return a server's rank, the higher the better, or None if it does not respond.

    First counts whether it serves the path, then whether it holds its data directory, then how near
    its root is to the path.
    """
    try:
        replace(client, seconds=CONNECT_SECONDS).get("runs", limit=1)
        holds_data = True
    except ServerNotFoundError:
        return None
    except ApiError as error:
        if error.status != LOCKED:
            return None
        holds_data = False
    serves_path = path is not None and client.contains(path)
    depth = len(client.root_dir.parts) if serves_path and client.root_dir else 0
    return serves_path, holds_data, depth


def _absolute(path: Path) -> Path:
    """Return the absolute path without resolving symbolic links."""
    return Path(os.path.normpath(path.absolute()))


def _none_found(running: int) -> str:
    what = (
        "None of the running Jupyter servers answers with jupyter_pdflow"
        if running
        else "No running Jupyter server was found"
    )
    return (
        f"{what}; start one with `jupyter lab` in an environment that has jupyter_pdflow, "
        f"or set {URL_VARIABLE} and {TOKEN_VARIABLE}."
    )


def _hub_token() -> str:
    return os.environ.get(HUB_TOKEN_VARIABLE, "")
