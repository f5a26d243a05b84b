"""Requests to the REST API of a Jupyter server, and the errors of its answers."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import msgspec

from jupyter_pdflow.exceptions import ApiError, ApproversOnlyError, FieldError, ServerNotFoundError
from jupyter_pdflow.settings import TOKEN_VARIABLE, URL_VARIABLE

if TYPE_CHECKING:
    import httpx

Model = TypeVar("Model")

RESPONSE_SECONDS = 120.0
"""Maximum time until a server responds."""

CONNECT_SECONDS = 5.0
"""Maximum time until a connection is open, and until a server responds while one is looked for."""

OK = 200
FORBIDDEN = 403
FAILED_DEPENDENCY = 424
HUB_PATH = "/hub/"
HUB_HEADER = "X-JupyterHub-Version"


@dataclass(frozen=True)
class RestConnection:
    """Sends requests to one Jupyter server.

    Parameters
    ----------
    url : str
        The server's address with its base URL, such as ``http://127.0.0.1:8888/``.
    token : str
        Jupyter's token; empty for a server without one.
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
    seconds: float = field(default=RESPONSE_SECONDS, repr=False, kw_only=True)

    def get(self, path: str, /, **params: Any) -> Any:
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

    def get_as(self, kind: type[Model], path: str, /, **params: Any) -> Model:
        """Return what `get` returns as a record, or as a list of records.

        Raises
        ------
        ApiError
            Also if the answer has another shape.
        """
        return self._decoded(kind, self.get(path, **params))

    def post_as(self, kind: type[Model], path: str, data: msgspec.Struct) -> Model:
        """Return what `post` returns as a record; raises what `get_as` raises."""
        return self._decoded(kind, self.post(path, msgspec.to_builtins(data)))

    def _decoded(self, kind: type[Model], body: Any) -> Model:
        try:
            return msgspec.convert(body, kind)
        except msgspec.ValidationError as error:
            msg = (
                f"The Jupyter server at {self.url} sent an answer that can't be read here ({error}); "
                "install the same version of jupyter_pdflow in its environment and in this one."
            )
            raise ApiError(msg, "unreadable_answer", OK) from error

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
        reason = str(body.get("reason") or "error")
        # That only the approvers decide is the server's own message; the token is good then.
        if status in (401, 403) and reason != ApproversOnlyError.reason:
            return self._refused()
        return ApiError(str(body["message"]), reason, status, _field_errors(body))

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


def _field_errors(body: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with each field, if the body says that an answer is invalid."""
    errors = body.get("errors")
    return [
        FieldError(str(each.get("field", "")), str(each.get("message", "")))
        for each in (errors if isinstance(errors, list) else [])
        if isinstance(each, dict)
    ]


def _json_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
