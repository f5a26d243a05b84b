"""The private REST API below ``/pdflow/api``; ``openapi.yaml`` describes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args
from urllib.parse import urlencode

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from jupyter_pdflow.engine.engine import Engine
from jupyter_pdflow.exceptions import BadRequestError, NotFoundError, PDFlowError
from jupyter_pdflow.rules.moves import EXPORTS_LIMIT
from jupyter_pdflow.rules.run import REASON_LIMIT, RunStatus
from jupyter_pdflow.server.bodies import is_storable
from jupyter_pdflow.server.errors import error_answer
from jupyter_pdflow.server.executed import executed_notebook, written
from jupyter_pdflow.server.keeper import House, Keeper
from jupyter_pdflow.server.local_modules import with_modules
from jupyter_pdflow.server.notebooks import clean_path, read_notebook
from jupyter_pdflow.server.redaction import hide_links, without_urls
from jupyter_pdflow.server.requests import api_request, incoming
from jupyter_pdflow.server.views import mail_view, run_item, run_view, workflow_view
from jupyter_pdflow.store.validation import is_id

Body = TypeVar("Body", bound=msgspec.Struct)
Method = TypeVar("Method", bound=Callable[..., Any])
OPENAPI = Path(__file__).parent / "openapi.yaml"
MOST_RUNS = 500
DEFAULT_RUNS = 50
METHOD_NOT_ALLOWED = 405
BAD_REQUEST = 400


class Deploy(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /workflows``."""

    path: str


class Start(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /workflows/{id}/runs``."""

    event: Any = msgspec.field(default_factory=dict)


class Resume(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /runs/{id}/resume``."""

    data: Any = None
    by: Literal["api", "button"] = "api"


class Cancel(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /runs/{id}/cancel``."""

    reason: str | None = None
    by: Literal["api", "button"] = "api"


def may(action: Literal["read", "execute"]) -> Callable[[Method], Method]:
    """Ask the server's authorizer for a right on `jupyter_pdflow`, whatever the HTTP method."""
    return cast("Callable[[Method], Method]", authorized(action=action))


def _check_ids(ids: list[str]) -> None:
    """Refuse what can be no record's id; `NotFoundError`, as for any that is unknown."""
    if not all(map(is_id, ids)):
        msg = "There is nothing of that id."
        raise NotFoundError(msg)


class PDFlowAPIHandler(APIHandler):
    """What all routes share: who may call them, JSON in and out, errors."""

    auth_resource = "jupyter_pdflow"
    _may_execute = False

    def initialize(self, keeper: Keeper) -> None:
        """Take what the routes work with."""
        self._keeper = keeper

    async def prepare(self) -> None:  # type: ignore[override]
        """Find out what the user may do; refuse what no route can be of use for."""
        await super().prepare()
        user = self.current_user
        if user is not None:
            allowed = self.authorizer.is_authorized(self, user, "execute", self.auth_resource)
            self._may_execute = bool(await ensure_async(allowed))
            self._keeper.check()
            _check_ids(self.path_args)

    def on_finish(self) -> None:
        """Learn where links point to from a request that the user was allowed to make."""
        house = self._keeper.present
        answered = self.get_status() < BAD_REQUEST and self.request.method != "OPTIONS"
        if answered and house is not None and self.current_user is not None:
            house.address.observe(self)

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        """Write a part of an answer, without links for users who may not use them."""
        super().write(chunk if self._may_execute else hide_links(chunk))

    async def house(self) -> House:
        """Get what works on the data; raises what `Keeper.house` raises."""
        return await self._keeper.house()

    async def engine(self) -> Engine:
        """Get the engine; raises what `Keeper.house` raises."""
        return (await self.house()).engine

    def read(self, kind: type[Body]) -> Body:
        """Read the request's JSON body; an empty one is an empty object.

        Raises
        ------
        BadRequestError
            It is not what the route takes.
        """
        raw = self.request.body
        if len(raw) > EXPORTS_LIMIT:
            raise web.HTTPError(413, f"The body is larger than {EXPORTS_LIMIT:,} bytes.")
        try:
            value = msgspec.json.decode(raw) if raw.strip() else {}
            body = msgspec.convert(value, kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            msg = f"The body is not what this route takes: {error}."
            raise BadRequestError(msg) from error
        if not is_storable(value):
            msg = "The body is nested too deeply."
            raise BadRequestError(msg)
        return body

    def answer(self, data: Any, status: int = 200) -> None:
        """Answer with JSON; without links for users who may not use them."""
        self.set_status(status)
        self.finish(msgspec.json.encode(data if self._may_execute else without_urls(data)))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer ``{message, reason}``."""
        error = kwargs.get("exc_info", (None, None))[1]
        status, view = error_answer(status_code, error)
        if status == METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self._methods()))
        self.answer(view, status)

    def _methods(self) -> list[str]:
        none = web.RequestHandler._unimplemented_method
        return [
            name for name in self.SUPPORTED_METHODS if getattr(type(self), name.lower()) is not none
        ]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an error that has its own answer for those who debug only."""
        if isinstance(value, PDFlowError):
            self.log.debug("%s: %s", value.reason, value)
        else:
            super().log_exception(typ, value, tb)


class WorkflowsHandler(PDFlowAPIHandler):
    """``/workflows``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the newest version of each workflow."""
        self.answer([workflow_view(found) for found in (await self.engine()).workflows()])

    @web.authenticated
    @may("execute")
    async def post(self) -> None:
        """Deploy a notebook."""
        path = clean_path(self.read(Deploy).path)
        house = await self.house()
        notebook = await read_notebook(self.contents_manager, path)
        source, warnings = await with_modules(self.contents_manager, path, notebook)
        await house.pool.check(source.kernel_name)
        workflow, changed = await house.engine.deploy(path, source)
        self.set_header("Location", f"{self.base_url}pdflow/api/workflows/{workflow.id}")
        view = {**workflow_view(workflow), "warnings": warnings}
        self.answer(view, 201 if changed else 200)


class WorkflowHandler(PDFlowAPIHandler):
    """``/workflows/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, workflow_id: str) -> None:
        """Show the newest version of a workflow."""
        self.answer(workflow_view((await self.engine()).workflow(workflow_id)))


class WorkflowRunsHandler(PDFlowAPIHandler):
    """``/workflows/{id}/runs``."""

    @web.authenticated
    @may("execute")
    async def post(self, workflow_id: str) -> None:
        """Start a run."""
        event = self.read(Start).event
        house = await self.house()
        run = await house.engine.start(workflow_id, event)
        self.set_header("Location", f"{self.base_url}pdflow/api/runs/{run.id}")
        self.answer(run_view(run, house.links.urls), 201)


class RunsHandler(PDFlowAPIHandler):
    """``/runs``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List runs, newest first, a page at a time."""
        limit = self._limit()
        status = self._status()
        workflow = self.get_query_argument("workflow", None)
        before = self.get_query_argument("before", None)
        house = await self.house()
        runs = await house.engine.runs(status, workflow, limit + 1, before)
        if len(runs) > limit:
            self._link_next(limit, status, workflow, runs[limit - 1].id)
        self.answer([run_item(run, house.links.urls) for run in runs[:limit]])

    def _limit(self) -> int:
        text = self.get_query_argument("limit", str(DEFAULT_RUNS))
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST_RUNS):
            msg = f"limit must be a number from 1 to {MOST_RUNS}, not {text!r}."
            raise BadRequestError(msg)
        return int(text)

    def _status(self) -> RunStatus | None:
        status = self.get_query_argument("status", None)
        known = get_args(RunStatus)
        if status is not None and status not in known:
            msg = f"status must be one of {', '.join(known)}, not {status!r}."
            raise BadRequestError(msg)
        return cast("RunStatus | None", status)

    def _link_next(self, limit: int, status: str | None, workflow: str | None, last: str) -> None:
        given = {"status": status, "workflow": workflow, "limit": limit, "before": last}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        self.set_header("Link", f'<{self.request.path}?{query}>; rel="next"')


class RunHandler(PDFlowAPIHandler):
    """``/runs/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Show a run whole."""
        house = await self.house()
        self.answer(run_view(house.engine.run(run_id), house.links.urls))


class RunNotebookHandler(PDFlowAPIHandler):
    """``/runs/{id}/notebook``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Send a run as an executed notebook."""
        engine = await self.engine()
        run = engine.run(run_id)
        notebook = executed_notebook(run, engine.workflow_of(run), engine.outputs(run_id))
        self.set_attachment_header(f"{run.workflow_name}-{run.id}.ipynb")
        self.finish(written(notebook), set_content_type="application/x-ipynb+json")


class ResumeHandler(PDFlowAPIHandler):
    """``/runs/{id}/resume``."""

    @web.authenticated
    @may("execute")
    async def post(self, run_id: str) -> None:
        """Resume a paused run."""
        body = self.read(Resume)
        house = await self.house()
        request = api_request(incoming(self.request), body.data)
        run = await house.engine.resume(run_id, body.by, request)
        self.answer(run_view(run, house.links.urls))


class CancelHandler(PDFlowAPIHandler):
    """``/runs/{id}/cancel``."""

    @web.authenticated
    @may("execute")
    async def post(self, run_id: str) -> None:
        """Cancel a run, whatever it is doing."""
        body = self.read(Cancel)
        if body.reason is not None and len(body.reason) > REASON_LIMIT:
            found = f"{len(body.reason):,}"
            msg = f"reason may have {REASON_LIMIT:,} characters at most, not {found}."
            raise BadRequestError(msg)
        house = await self.house()
        run = await house.engine.cancel(run_id, body.by, body.reason)
        self.answer(run_view(run, house.links.urls))


class MailsHandler(PDFlowAPIHandler):
    """``/mail``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the mails that steps have made, newest first."""
        self.answer([mail_view(letter) for letter in await (await self.engine()).letters()])


class MailHandler(PDFlowAPIHandler):
    """``/mail/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, letter_id: str) -> None:
        """Show a mail."""
        self.answer(mail_view((await self.engine()).letter(letter_id)))


class OpenAPIHandler(PDFlowAPIHandler):
    """``/openapi.yaml``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Send the description of the API."""
        self.finish(OPENAPI.read_bytes(), set_content_type="application/yaml")


class UnknownHandler(PDFlowAPIHandler):
    """Every other path below ``/pdflow``; what was meant may be a link, so it is not logged."""

    def initialize(self, keeper: Keeper) -> None:
        """Forget the path."""
        super().initialize(keeper)
        self.request.uri = self.request.path = f"{self.base_url}pdflow/…"

    @web.authenticated
    @may("read")
    async def get(self) -> None:
        """Say that there is no such route."""
        msg = "There is no such route."
        raise NotFoundError(msg)

    post = put = patch = delete = head = get


ROUTES: list[tuple[str, type[PDFlowAPIHandler]]] = [
    (r"/pdflow/api/workflows", WorkflowsHandler),
    (r"/pdflow/api/workflows/([^/]+)", WorkflowHandler),
    (r"/pdflow/api/workflows/([^/]+)/runs", WorkflowRunsHandler),
    (r"/pdflow/api/runs", RunsHandler),
    (r"/pdflow/api/runs/([^/]+)", RunHandler),
    (r"/pdflow/api/runs/([^/]+)/notebook", RunNotebookHandler),
    (r"/pdflow/api/runs/([^/]+)/resume", ResumeHandler),
    (r"/pdflow/api/runs/([^/]+)/cancel", CancelHandler),
    (r"/pdflow/api/mail", MailsHandler),
    (r"/pdflow/api/mail/([^/]+)", MailHandler),
    (r"/pdflow/api/openapi.yaml", OpenAPIHandler),
    (r"/pdflow(?:/.*)?", UnknownHandler),
]
