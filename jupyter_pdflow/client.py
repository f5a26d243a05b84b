"""The client of the REST API: find a Jupyter server with jupyter_pdflow, and send requests to it."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_pdflow.exceptions import ApiError, NotebookError, ServerNotFoundError
from jupyter_pdflow.settings import (
    HUB_TOKEN_VARIABLE,
    SERVER_PID_VARIABLE,
    TOKEN_VARIABLE,
    URL_VARIABLE,
)

if TYPE_CHECKING:
    import httpx

RESPONSE_SECONDS = 120.0
"""Maximum time until a server responds."""

CONNECT_SECONDS = 5.0
"""Maximum time until a connection is open, and until a server responds while one is looked for."""

LOCKED = 503
FORBIDDEN = 403
FAILED_DEPENDENCY = 424
HUB_PATH = "/hub/"
HUB_HEADER = "X-JupyterHub-Version"


@dataclass(frozen=True)
class Client:
    """The REST API of one Jupyter server.

    Parameters
    ----------
    url : str
        The server's address with its base URL, such as ``http://127.0.0.1:8888/``.
    token : str
        Jupyter's token; empty for a server without one.
    root_dir : pathlib.Path or None
        The folder that the server serves, or None if it is unknown.
    seconds : float
        Maximum time until the server responds to a request.

    Raises
    ------
    ApiError
        From each method that sends a request: the server responded with an error.
    ServerNotFoundError
        From each of them: no server responds at this URL, or it lacks jupyter_pdflow.
    """

    url: str
    token: str = field(default="", repr=False)
    root_dir: Path | None = None
    seconds: float = field(default=RESPONSE_SECONDS, repr=False)

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON that a GET request to a path below ``/pdflow/api`` gets.

        Parameters
        ----------
        path : str
            The path, such as ``runs``.
        **params
            The query; a parameter that is None is left out.
        """
        given = {name: value for name, value in params.items() if value is not None}
        return self._request("GET", f"pdflow/api/{path.lstrip('/')}", params=given)

    def post(self, path: str, data: Any = None) -> Any:
        """Return the JSON that a POST request to a path below ``/pdflow/api`` gets.

        Parameters
        ----------
        path : str
            The path, such as ``workflows``.
        data : JSON value
            The body; by default an empty object.
        """
        return self._request("POST", f"pdflow/api/{path.lstrip('/')}", json=data or {})

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

    def _request(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        try:
            with self._http() as http:
                response = http.request(method, path, **options)
        except httpx.TimeoutException as error:
            msg = f"The Jupyter server at {self.url} did not answer in time; see its log."
            raise ServerNotFoundError(msg) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            msg = f"No Jupyter server answers at {self.url} ({error}); start it, or start another."
            raise ServerNotFoundError(msg) from error
        return self._read(response)

    def _read(self, response: httpx.Response) -> Any:
        body = _json_of(response)
        if response.is_success and body is not None:
            return body
        # These come first: a JupyterHub responds with 403 and redirects too, without our message.
        if _is_from_hub(response, body):
            raise self._server_stopped(response)
        if isinstance(body, dict) and body.get("message"):
            raise self._error(response.status_code, body)
        if response.status_code in (401, 403) or response.is_redirect:
            raise self._refused()
        if response.status_code in (200, 404, 405):
            msg = (
                f"The Jupyter server at {self.url} runs without jupyter_pdflow; "
                "install it in that server's environment and restart the server."
            )
            raise ServerNotFoundError(msg)
        msg = f"The Jupyter server at {self.url} answered {response.status_code}; see its log."
        raise ApiError(msg, "error", response.status_code)

    def _error(self, status: int, body: dict[str, Any]) -> Exception:
        if status in (401, 403):
            return self._refused()
        return ApiError(str(body["message"]), str(body.get("reason") or "error"), status)

    def _refused(self) -> ApiError:
        msg = (
            f"The Jupyter server at {self.url} refused the token; "
            f"set {URL_VARIABLE} and {TOKEN_VARIABLE} to its address and token."
        )
        return ApiError(msg, "forbidden", 403)

    def _server_stopped(self, response: httpx.Response) -> ServerNotFoundError:
        """Return the error for a JupyterHub that responds in place of a user's server."""
        location = urljoin(self.url, response.headers.get("Location", ""))
        prefix = location.partition(HUB_PATH if HUB_PATH in location else "/user/")[0]
        msg = f"The server at {self.url} is not running; start it at {prefix}{HUB_PATH}home."
        return ServerNotFoundError(msg)

    def _http(self) -> httpx.Client:
        import httpx

        parts = urlsplit(self.url)
        on_socket = parts.scheme == "http+unix"
        is_local = on_socket or _is_this_machine(parts.hostname or "")
        base = f"http://localhost{parts.path}" if on_socket else self.url
        transport = httpx.HTTPTransport(uds=unquote(parts.netloc)) if on_socket else None
        return httpx.Client(
            base_url=base,
            headers=self._headers(),
            timeout=httpx.Timeout(self.seconds, connect=CONNECT_SECONDS),
            # A proxy can't reach this machine as "localhost", and a local server's certificate is
            # usually self-signed.
            trust_env=not is_local,
            verify=not is_local,
            transport=transport,
        )

    def _headers(self) -> dict[str, str]:
        if self.token:
            return {"Authorization": f"token {self.token}"}
        # Without a token, Jupyter checks for XSRF as it does for a browser: the cookie and the
        # header have to be equal.
        xsrf = secrets.token_hex(16)
        return {"Cookie": f"_xsrf={xsrf}", "X-XSRFToken": xsrf}


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


def _is_this_machine(host: str) -> bool:
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_from_hub(response: httpx.Response, body: Any) -> bool:
    """Whether a JupyterHub has responded because the user's server does not run."""
    if response.is_redirect:
        # A server that runs redirects too, to log in, but to another path of the Hub.
        return f"{HUB_PATH}user/" in urlsplit(response.headers.get("Location", "")).path
    page_403 = response.status_code == FORBIDDEN and body is None
    return HUB_HEADER in response.headers and (
        page_403 or response.status_code == FAILED_DEPENDENCY
    )


def _json_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
