"""The private REST API below ``/pdflow/api``; ``openapi.yaml`` describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlencode

import msgspec
from jupyter_server.auth.decorator import authorized
from tornado import web

from jupyter_pdflow.exceptions import BadRequestError, NotFoundError
from jupyter_pdflow.rules.run import REASON_LIMIT, RunStatus
from jupyter_pdflow.server.api.base_handler import (
    PDFlowAPIHandler,
    RunFileHandler,
    RunFilesHandler,
    may,
)
from jupyter_pdflow.server.api.models import (
    executed_notebook,
    mail_view,
    run_item,
    run_view,
    workflow_view,
    written,
)
from jupyter_pdflow.server.links.requests import api_request, incoming
from jupyter_pdflow.server.notebooks import clean_path, read_notebook, with_modules
from jupyter_pdflow.server.services import ServiceManager

OPENAPI = Path(__file__).parent / "openapi.yaml"
MOST_RUNS = 500
DEFAULT_RUNS = 50


class DeployBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /workflows``."""

    path: str


class StartBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /workflows/{id}/runs``."""

    event: Any = msgspec.field(default_factory=dict)


class ResumeBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /runs/{id}/resume``."""

    data: Any = None
    by: Literal["api", "button"] = "api"


class CancelBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /runs/{id}/cancel``."""

    reason: str | None = None
    by: Literal["api", "button"] = "api"


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
        path = clean_path(self.read(DeployBody).path)
        services = await self.services()
        notebook = await read_notebook(self.contents_manager, path)
        source, warnings = await with_modules(self.contents_manager, path, notebook)
        await services.pool.check(source.kernel_name)
        workflow, changed = await services.engine.deploy(path, source)
        self.set_header("Location", f"{self.base_url}pdflow/api/workflows/{workflow.id}")
        view = workflow_view(workflow) | ({"warnings": warnings} if warnings else {})
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
        event = self.read(StartBody).event
        services = await self.services()
        run = await services.engine.start(workflow_id, event)
        self.set_header("Location", f"{self.base_url}pdflow/api/runs/{run.id}")
        self.answer(run_view(run, services.links.urls), 201)


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
        services = await self.services()
        runs = await services.engine.runs(status, workflow, limit + 1, before)
        if len(runs) > limit:
            self._link_next(limit, status, workflow, runs[limit - 1].id)
        self.answer([run_item(run, services.links.urls) for run in runs[:limit]])

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
        services = await self.services()
        self.answer(run_view(services.engine.run(run_id), services.links.urls))


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
        body = self.read(ResumeBody)
        services = await self.services()
        request = api_request(incoming(self.request), body.data)
        run = await services.engine.resume(run_id, body.by, request)
        self.answer(run_view(run, services.links.urls))


class CancelHandler(PDFlowAPIHandler):
    """``/runs/{id}/cancel``."""

    @web.authenticated
    @may("execute")
    async def post(self, run_id: str) -> None:
        """Cancel a run, whatever it is doing."""
        body = self.read(CancelBody)
        if body.reason is not None and len(body.reason) > REASON_LIMIT:
            found = f"{len(body.reason):,}"
            msg = f"reason may have {REASON_LIMIT:,} characters at most, not {found}."
            raise BadRequestError(msg)
        services = await self.services()
        run = await services.engine.cancel(run_id, body.by, body.reason)
        self.answer(run_view(run, services.links.urls))


class MailsHandler(PDFlowAPIHandler):
    """``/mail``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the mails that steps have made, newest first."""
        self.answer([mail_view(email) for email in await (await self.engine()).emails()])


class MailHandler(PDFlowAPIHandler):
    """``/mail/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, email_id: str) -> None:
        """Show a mail."""
        self.answer(mail_view((await self.engine()).email(email_id)))


class OpenAPIHandler(PDFlowAPIHandler):
    """``/openapi.yaml``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Send the description of the API."""
        self.finish(OPENAPI.read_bytes(), set_content_type="application/yaml")


class UnknownHandler(PDFlowAPIHandler):
    """Every other path below ``/pdflow``; what was meant may be a link, so it is not logged."""

    def initialize(self, service_manager: ServiceManager) -> None:
        """Forget the path."""
        super().initialize(service_manager)
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
    (r"/pdflow/api/runs/([^/]+)/files", RunFilesHandler),
    (r"/pdflow/api/runs/([^/]+)/files/(.+)", RunFileHandler),
    (r"/pdflow/api/runs/([^/]+)/resume", ResumeHandler),
    (r"/pdflow/api/runs/([^/]+)/cancel", CancelHandler),
    (r"/pdflow/api/mail", MailsHandler),
    (r"/pdflow/api/mail/([^/]+)", MailHandler),
    (r"/pdflow/api/openapi.yaml", OpenAPIHandler),
    (r"/pdflow(?:/.*)?", UnknownHandler),
]
