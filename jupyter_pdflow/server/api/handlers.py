"""The routes of the private REST API below ``/pdflow/api``, which ``openapi.yaml`` describes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlencode

import msgspec
from jupyter_server.auth.decorator import authorized
from msgspec import Struct
from tornado import web
from tornado.iostream import StreamClosedError

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.exceptions import BadRequestError, NotFoundError
from jupyter_pdflow.models import CancelBody, DeployBody, RejectBody, ResumeBody, StartBody
from jupyter_pdflow.rules.events import Answer
from jupyter_pdflow.rules.history import NOTE_LIMIT
from jupyter_pdflow.rules.run import REASON_LIMIT
from jupyter_pdflow.server.api.base_handler import PDFlowAPIHandler, requires
from jupyter_pdflow.server.api.models import (
    email_view,
    file_view,
    health_view,
    history_view,
    inbox_item,
    run_counts,
    run_items,
    workflow_view,
)
from jupyter_pdflow.server.api.queries import LISTED_BY, count_query, run_query
from jupyter_pdflow.server.api.version_handlers import (
    DeploymentHandler,
    VersionHandler,
    VersionsHandler,
)
from jupyter_pdflow.server.executed_notebook import notebook_text
from jupyter_pdflow.server.links.requests import api_request, request_head
from jupyter_pdflow.server.links.tokens import LinkHider, without_links
from jupyter_pdflow.server.notebooks import normalize_path, read_workflow
from jupyter_pdflow.server.services import ServiceManager
from jupyter_pdflow.threads import in_reader, in_thread

T = TypeVar("T")
Model = TypeVar("Model", bound=Struct)

OPENAPI = Path(__file__).parent / "openapi.yaml"
CHUNK_BYTES = 2**20
"""Number of bytes of a file that are in memory at once."""

FILE_TYPE = "application/octet-stream"
"""The content type of every file. A browser must not show a step's file as a page of this origin."""


class WorkflowsHandler(PDFlowAPIHandler):
    """``/workflows``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the newest version of each workflow."""
        service = await self.service()
        self.answer([workflow_view(workflow) for workflow in await service.workflows()])

    @web.authenticated
    @requires("execute")
    async def post(self) -> None:
        """Deploy a notebook."""
        path = normalize_path(self.read_json(DeployBody).path)
        services = await self.services()
        source, warnings = await read_workflow(self.contents_manager, path)
        await services.pool.check(source.kernel_name)
        workflow, changed = await services.service.deploy(path, source)
        self.set_header("Location", f"{self.base_url}pdflow/api/workflows/{workflow.id}")
        self.answer(workflow_view(workflow, warnings), 201 if changed else 200)


class WorkflowHandler(PDFlowAPIHandler):
    """``/workflows/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, workflow_id: str) -> None:
        """Show the newest version of a workflow."""
        service = await self.service()
        self.answer(workflow_view(await service.workflow(workflow_id)))


class WorkflowRunsHandler(PDFlowAPIHandler):
    """``/workflows/{id}/runs``."""

    @web.authenticated
    @requires("execute")
    async def post(self, workflow_id: str) -> None:
        """Start a run."""
        body = self.read_json(StartBody)
        services = await self.services()
        run = await services.service.start(workflow_id, body.event, body.by)
        self.set_header("Location", f"{self.base_url}pdflow/api/runs/{run.id}")
        await self.answer_run(services, run, 201)


class RunsHandler(PDFlowAPIHandler):
    """``/runs``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List runs, newest first, a page at a time."""
        query = run_query(self)
        services = await self.services()
        runs = await services.service.runs(query)
        if len(runs) == query.limit:
            self._link_next(runs[-2].id)
        # In a thread: there may be 500 runs with 100 decisions each.
        shown = runs[: query.limit - 1]
        numbers = await services.service.version_numbers(shown)
        self.answer(await in_thread(run_items, shown, services.links.urls, numbers))

    def _link_next(self, last: str) -> None:
        """Link to the next page: the same query, before the last run of this page."""
        given = {name: self.get_query_argument(name, None) for name in LISTED_BY}
        arguments = {name: value for name, value in given.items() if value is not None}
        query = urlencode({**arguments, "before": last})
        self.set_header("Link", f'<{self.request.path}?{query}>; rel="next"')


class RunCountsHandler(PDFlowAPIHandler):
    """``/runs/counts``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Count runs by status, workflow and day."""
        query = count_query(self, utc_now())
        service = await self.service()
        self.answer(await in_thread(run_counts, await service.counts(query)))


class RunHandler(PDFlowAPIHandler):
    """``/runs/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Show a run with its event and exports."""
        services = await self.services()
        await self.answer_run(services, await services.service.run(run_id))

    @web.authenticated
    @requires("execute")
    async def delete(self, run_id: str) -> None:
        """Remove a run that has ended, with all that belongs to it."""
        service = await self.service()
        await service.delete(run_id)
        self.set_status(204)
        self.finish()


class RunNotebookHandler(PDFlowAPIHandler):
    """``/runs/{id}/notebook``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Send a run as an executed notebook."""
        service = await self.service()
        run = await service.run(run_id)
        workflow, outputs = await service.workflow_of(run), await service.outputs(run_id)
        if not self._may_execute:
            # Now: what is escaped in Markdown, or encoded in an image, is not found later.
            run = await in_thread(without_links, run)
            outputs = await in_thread(without_links, outputs)
        self.set_attachment_header(f"{run.workflow_name}-{run.id}.ipynb")
        make = partial(notebook_text, run, workflow, outputs)
        await self.finish_large(make, "application/x-ipynb+json")


class RunOutputsHandler(PDFlowAPIHandler):
    """``/runs/{id}/outputs``."""

    _etag: str | None = None

    def compute_etag(self) -> str | None:
        """Return the tag that `get` has set: that of the content would take reading all of it."""
        return self._etag

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Show the outputs of a run, also those of a step under way."""
        service = await self.service()
        # Before the outputs: a change in between shows in the next answer.
        self._etag = f'"{await service.outputs_tag(run_id)}.{self._may_execute:d}"'
        self.set_etag_header()
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        outputs = await service.outputs(run_id)
        await self.finish_large(lambda: msgspec.json.encode(outputs.by_step()), "application/json")


class RunHistoryHandler(PDFlowAPIHandler):
    """``/runs/{id}/history``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """List what has happened to a run."""
        service = await self.service()
        history = await service.history(run_id)
        self.answer([history_view(number, entry) for number, entry in history.items()])


class RunFilesHandler(PDFlowAPIHandler):
    """``/runs/{id}/files``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """List the files of a run."""
        services = await self.services()
        run = await services.service.run(run_id)
        self.answer([file_view(file) for file in await in_reader(services.folders.list, run.id)])


class RunFileHandler(PDFlowAPIHandler):
    """``/runs/{id}/files/{path}``."""

    def ids(self) -> list[str]:
        """Return the run's id only; the second argument is a path."""
        return super().ids()[:1]

    @web.authenticated
    @authorized
    async def get(self, run_id: str, path: str) -> None:
        """Send a file of a run as a download."""
        services = await self.services()
        run = await services.service.run(run_id)
        with await in_thread(services.folders.read, run.id, path) as file:
            self.set_attachment_header(path.rpartition("/")[2])
            self.set_header("Content-Type", FILE_TYPE)
            self.set_header("X-Content-Type-Options", "nosniff")
            try:
                await self._send(file, os.fstat(file.fileno()).st_size)
            except StreamClosedError:
                return
            self.finish(set_content_type=FILE_TYPE)

    async def _send(self, file: BinaryIO, size: int) -> None:
        """Send the first `size` bytes of a file, which a step may still be appending to."""
        hider = None if self._may_execute else LinkHider()
        if hider is None:  # else the length is not known: a hidden link is shorter
            self.set_header("Content-Length", str(size))
        while size > 0 and (chunk := await in_thread(file.read, min(size, CHUNK_BYTES))):
            size -= len(chunk)
            self.write(chunk if hider is None else hider.feed(chunk))
            await self.flush()
        if hider is not None:
            self.write(hider.end())


class ResumeHandler(PDFlowAPIHandler):
    """``/runs/{id}/resume``."""

    @web.authenticated
    @requires("execute")
    async def post(self, run_id: str) -> None:
        """Resume, or approve, a paused run."""
        body = self.read_json(ResumeBody)
        _check_length("note", body.note, NOTE_LIMIT)
        services = await self.services()
        request = api_request(request_head(self.request), body.data)
        answer = Answer(body.by, request, self.person(), body.note)
        run = await services.service.resume(run_id, answer, since=body.since)
        await self.answer_run(services, run)


class RejectHandler(PDFlowAPIHandler):
    """``/runs/{id}/reject``."""

    @web.authenticated
    @requires("execute")
    async def post(self, run_id: str) -> None:
        """Reject what a paused run asks."""
        body = self.read_json(RejectBody)
        _check_length("note", body.note, NOTE_LIMIT)
        services = await self.services()
        request = api_request(request_head(self.request), None)
        answer = Answer(body.by, request, self.person(), body.note)
        run = await services.service.reject(run_id, answer, since=body.since)
        await self.answer_run(services, run)


class CancelHandler(PDFlowAPIHandler):
    """``/runs/{id}/cancel``."""

    @web.authenticated
    @requires("execute")
    async def post(self, run_id: str) -> None:
        """Cancel a run, whether it is queued, running or paused."""
        body = self.read_json(CancelBody)
        _check_length("reason", body.reason, REASON_LIMIT)
        services = await self.services()
        run = await services.service.cancel(run_id, body.by, body.reason, self.person())
        await self.answer_run(services, run)


def _each(view: Callable[[T], Model], found: Sequence[T]) -> list[Model]:
    return list(map(view, found))


def _check_length(name: str, text: str | None, limit: int) -> None:
    if text is not None and len(text) > limit:
        msg = f"{name} may have {limit:,} characters at most, not {len(text):,}."
        raise BadRequestError(msg)


class InboxHandler(PDFlowAPIHandler):
    """``/inbox``."""

    @web.authenticated
    @requires("execute")
    async def get(self) -> None:
        """List what waits for the person who asks."""
        service = await self.service()
        # In a thread, as a list of emails: each message is rendered.
        self.answer(await in_thread(_each, inbox_item, await service.inbox(self.person())))


class EmailsHandler(PDFlowAPIHandler):
    """``/mail``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the emails of steps, newest first; with ``run``, those of one run."""
        service = await self.service()
        emails = await service.emails(self.get_query_argument("run", None))
        self.answer(await in_thread(_each, email_view, emails))


class EmailHandler(PDFlowAPIHandler):
    """``/mail/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, email_id: str) -> None:
        """Show an email."""
        service = await self.service()
        self.answer(email_view(await service.email(email_id)))


class EmailRetryHandler(PDFlowAPIHandler):
    """``/mail/{id}/retry``."""

    @web.authenticated
    @requires("execute")
    async def post(self, email_id: str) -> None:
        """Send an email again that has failed."""
        service = await self.service()
        self.answer(email_view(await service.retry_email(email_id)))


class HealthHandler(PDFlowAPIHandler):
    """``/health``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Show how the server and its workers are doing."""
        services = await self.services()
        self.answer(health_view(await services.snapshot()))


class OpenAPIHandler(PDFlowAPIHandler):
    """``/openapi.yaml``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Send the description of the API."""
        self.finish(OPENAPI.read_bytes(), set_content_type="application/yaml")


class UnknownHandler(PDFlowAPIHandler):
    """Every other path below ``/pdflow``."""

    def initialize(self, service_manager: ServiceManager) -> None:
        """Replace the path, so that it is not logged: it may be a mistyped link."""
        super().initialize(service_manager)
        self.request.uri = self.request.path = f"{self.base_url}pdflow/…"

    @web.authenticated
    @requires("read")
    async def get(self) -> None:
        """Raise NotFoundError."""
        msg = "There is no such route."
        raise NotFoundError(msg)

    post = put = patch = delete = head = get


ROUTES: list[tuple[str, type[PDFlowAPIHandler]]] = [
    (r"/pdflow/api/workflows", WorkflowsHandler),
    (r"/pdflow/api/workflows/([^/]+)", WorkflowHandler),
    (r"/pdflow/api/workflows/([^/]+)/runs", WorkflowRunsHandler),
    (r"/pdflow/api/workflows/([^/]+)/versions", VersionsHandler),
    (r"/pdflow/api/workflows/([^/]+)/versions/([^/]+)", VersionHandler),
    (r"/pdflow/api/deployment", DeploymentHandler),
    (r"/pdflow/api/runs", RunsHandler),
    (r"/pdflow/api/runs/counts", RunCountsHandler),
    (r"/pdflow/api/runs/([^/]+)", RunHandler),
    (r"/pdflow/api/runs/([^/]+)/notebook", RunNotebookHandler),
    (r"/pdflow/api/runs/([^/]+)/outputs", RunOutputsHandler),
    (r"/pdflow/api/runs/([^/]+)/history", RunHistoryHandler),
    (r"/pdflow/api/runs/([^/]+)/files", RunFilesHandler),
    (r"/pdflow/api/runs/([^/]+)/files/(.+)", RunFileHandler),
    (r"/pdflow/api/runs/([^/]+)/resume", ResumeHandler),
    (r"/pdflow/api/runs/([^/]+)/reject", RejectHandler),
    (r"/pdflow/api/runs/([^/]+)/cancel", CancelHandler),
    (r"/pdflow/api/inbox", InboxHandler),
    (r"/pdflow/api/mail", EmailsHandler),
    (r"/pdflow/api/mail/([^/]+)", EmailHandler),
    (r"/pdflow/api/mail/([^/]+)/retry", EmailRetryHandler),
    (r"/pdflow/api/health", HealthHandler),
    (r"/pdflow/api/openapi.yaml", OpenAPIHandler),
    (r"/pdflow(?:/.*)?", UnknownHandler),
]
