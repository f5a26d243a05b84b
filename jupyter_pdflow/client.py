"""Talk to a Jupyter server that runs workflows: find it, and call its REST API."""

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
from jupyter_pdflow.settings import HUB_TOKEN_VARIABLE, TOKEN_VARIABLE, URL_VARIABLE

if TYPE_CHECKING:
    import httpx

ANSWER_SECONDS = 120.0
PROBE_SECONDS = 5.0
LOCKED = 503
FORBIDDEN = 403
FAILED_DEPENDENCY = 424
HUB = "/hub/"
HUB_HEADER = "X-JupyterHub-Version"


@dataclass(frozen=True)
class Client:
    """The REST API of one Jupyter server.

    Parameters
    ----------
    url : str
        The server's address with its base URL, such as ``http://127.0.0.1:8888/``.
    token : str
        Jupyter's token; empty for a server that asks for none.
    root_dir : pathlib.Path or None
        The folder that the server serves; None where it is not known.
    """

    url: str
    token: str = field(default="", repr=False)
    root_dir: Path | None = None
    seconds: float = field(default=ANSWER_SECONDS, repr=False)

    def get(self, path: str, **params: Any) -> Any:
        """GET a path below ``/pdflow/api``; parameters that are None are left out.

        Raises
        ------
        ApiError
            The server answered with an error.
        ServerNotFoundError
            Nothing answers there, or the server lacks jupyter_pdflow.
        """
        given = {name: value for name, value in params.items() if value is not None}
        return self._request("GET", f"pdflow/api/{path.lstrip('/')}", params=given)

    def post(self, path: str, data: Any = None) -> Any:
        """POST JSON to a path below ``/pdflow/api``; raises what `get` raises."""
        return self._request("POST", f"pdflow/api/{path.lstrip('/')}", json=data or {})

    def notebook(self, path: str) -> dict[str, Any]:
        """Read a notebook as saved, by Jupyter's contents API.

        Parameters
        ----------
        path : str
            The notebook's path below the server's root, see `relative`.

        Returns
        -------
        dict
            The notebook in nbformat 4.
        """
        params = {"type": "notebook", "content": "1"}
        model = self._request("GET", f"api/contents/{quote(path)}", params=params)
        content: dict[str, Any] = model["content"]
        return content

    def notebook_of(self, kernel_id: str | None) -> str | None:
        """Get the path of the notebook that a kernel belongs to, after a renaming too.

        Returns
        -------
        str or None
            None where the server knows of no such kernel or notebook.
        """
        for session in self._request("GET", "api/sessions"):
            kernel = session.get("kernel") or {}
            if kernel_id and kernel.get("id") == kernel_id and session.get("type") == "notebook":
                return str(session["path"])
        return None

    def relative(self, path: str | os.PathLike[str]) -> str:
        """Name a notebook as the server does: below its root, with forward slashes.

        Raises
        ------
        NotebookError
            The notebook lies outside the folder that the server serves.
        """
        if self.root_dir is None:
            return self._as_named(Path(path))
        below = self._below(path)
        if below is None:
            msg = (
                f"{Path(path)} is outside {self.root_dir}, the folder that the server at "
                f"{self.url} serves; move the notebook there or start Jupyter above it."
            )
            raise NotebookError(msg)
        return below.as_posix()

    def contains(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path lies in the folder that the server serves."""
        return self._below(path) is not None

    def _below(self, path: str | os.PathLike[str]) -> Path | None:
        """Get the path below the root, as written or, failing that, with links followed."""
        if self.root_dir is None:
            return None
        for plain in (_as_written, Path.resolve):
            whole, root = plain(Path(path)), plain(self.root_dir)
            if whole.is_relative_to(root):
                return whole.relative_to(root)
        return None

    def _as_named(self, path: Path) -> str:
        if path.is_absolute():
            msg = (
                f"The folder that the server at {self.url} serves is not known here; "
                "give the notebook's path as the server names it."
            )
            raise NotebookError(msg)
        return path.as_posix()

    def _request(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        try:
            with self._http() as http:
                answer = http.request(method, path, **options)
        except httpx.TimeoutException as error:
            msg = f"The Jupyter server at {self.url} did not answer in time; see its log."
            raise ServerNotFoundError(msg) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            msg = f"No Jupyter server answers at {self.url} ({error}); start it, or start another."
            raise ServerNotFoundError(msg) from error
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> Any:
        body = _json_of(answer)
        if answer.is_success and body is not None:
            return body
        if _is_of_hub(answer, body):
            raise self._stopped(answer)
        if isinstance(body, dict) and body.get("message"):
            raise self._error(answer.status_code, body)
        if answer.status_code in (401, 403) or answer.is_redirect:
            raise self._refused()
        if answer.status_code in (200, 404, 405):
            msg = (
                f"The Jupyter server at {self.url} runs without jupyter_pdflow; "
                "install it in that server's environment and restart the server."
            )
            raise ServerNotFoundError(msg)
        msg = f"The Jupyter server at {self.url} answered {answer.status_code}; see its log."
        raise ApiError(msg, "error", answer.status_code)

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

    def _stopped(self, answer: httpx.Response) -> ServerNotFoundError:
        """Make the error for a JupyterHub that answers in place of a user's server."""
        place = urljoin(self.url, answer.headers.get("Location", ""))
        prefix = place.partition(HUB if HUB in place else "/user/")[0]
        msg = f"The server at {self.url} is not running; start it at {prefix}{HUB}home."
        return ServerNotFoundError(msg)

    def _http(self) -> httpx.Client:
        import httpx

        parts = urlsplit(self.url)
        on_socket = parts.scheme == "http+unix"
        near = on_socket or _is_this_machine(parts.hostname or "")
        base = f"http://localhost{parts.path}" if on_socket else self.url
        transport = httpx.HTTPTransport(uds=unquote(parts.netloc)) if on_socket else None
        return httpx.Client(
            base_url=base,
            headers=self._headers(),
            timeout=httpx.Timeout(self.seconds, connect=PROBE_SECONDS),
            trust_env=not near,
            verify=not near,
            transport=transport,
        )

    def _headers(self) -> dict[str, str]:
        if self.token:
            return {"Authorization": f"token {self.token}"}
        # Without a token, Jupyter wants what a browser sends: the same value twice.
        xsrf = secrets.token_hex(16)
        return {"Cookie": f"_xsrf={xsrf}", "X-XSRFToken": xsrf}


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
) -> Client:
    """Return a client of a Jupyter server, by default of the one that is found.

    Without ``url``, the environment variables ``JUPYTER_PDFLOW_URL`` and
    ``JUPYTER_PDFLOW_TOKEN`` win. In a notebook's kernel it is the server that started the kernel.
    Elsewhere it is a running server of this user that has jupyter_pdflow.

    Parameters
    ----------
    url : str, optional
        The server's address with its base URL, such as ``http://127.0.0.1:8888/``.
    token : str, optional
        Jupyter's token for the server at ``url``; by default the one that is known.
    path : str or os.PathLike, optional
        A file or folder; a server that serves it is preferred.

    Raises
    ------
    ServerNotFoundError
        There is none; the message says what to do.
    """
    infos = list(_running())
    url = url or os.environ.get(URL_VARIABLE)
    if url:
        return _explicit(url, token, infos)
    parent = os.environ.get("JPY_PARENT_PID", "")
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
    """Find the running Jupyter server with this process id, once it listens."""
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
    """Read what this user's servers say about themselves.

    A server that was killed leaves its file behind; nothing answers there. Jupyter server's own
    function for this takes seconds to import.
    """
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
    """Order servers: those that serve the path, that hold their data, with the nearest root."""
    try:
        replace(client, seconds=PROBE_SECONDS).get("runs", limit=1)
        holds_data = True
    except ServerNotFoundError:
        return None
    except ApiError as error:
        if error.status != LOCKED:
            return None
        holds_data = False
    near = path is not None and client.contains(path)
    depth = len(client.root_dir.parts) if near and client.root_dir else 0
    return near, holds_data, depth


def _as_written(path: Path) -> Path:
    """Make a path absolute without following links."""
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


def _is_of_hub(answer: httpx.Response, body: Any) -> bool:
    """Whether a JupyterHub has answered: by sending on, or by 424, or 403 with a page."""
    if answer.is_redirect:  # to log in at a server that runs is another address of the Hub
        return f"{HUB}user/" in urlsplit(answer.headers.get("Location", "")).path
    page_403 = answer.status_code == FORBIDDEN and body is None
    return HUB_HEADER in answer.headers and (page_403 or answer.status_code == FAILED_DEPENDENCY)


def _json_of(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
