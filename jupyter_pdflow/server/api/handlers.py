"""The routes of the private REST API below ``/pdflow/api``, which ``openapi.yaml`` describes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar, cast, get_args
from urllib.parse import urlencode

from jupyter_server.auth.decorator import authorized
from msgspec import Struct
from tornado import web
from tornado.iostream import StreamClosedError

from jupyter_pdflow.exceptions import BadRequestError, NotFoundError
from jupyter_pdflow.models import CancelBody, DeployBody, RejectBody, ResumeBody, StartBody
from jupyter_pdflow.rules.events import Answer
from jupyter_pdflow.rules.history import NOTE_LIMIT
from jupyter_pdflow.rules.pauses import PauseKind
from jupyter_pdflow.rules.run import REASON_LIMIT, RunStatus
from jupyter_pdflow.server.api.base_handler import PDFlowAPIHandler, requires
from jupyter_pdflow.server.api.models import (
    email_view,
    file_view,
    health_view,
    history_view,
    inbox_item,
    notebook_text,
    run_items,
    run_view,
    workflow_view,
)
from jupyter_pdflow.server.links.requests import api_request, request_head
from jupyter_pdflow.server.links.tokens import LinkHider
from jupyter_pdflow.server.notebooks import add_modules, normalize_path, read_notebook
from jupyter_pdflow.server.services import ServiceManager
from jupyter_pdflow.stores import MAX_SEARCH_CHARACTERS, MAX_SEARCH_WORDS, RunQuery
from jupyter_pdflow.threads import in_reader, in_thread

T = TypeVar("T")
Model = TypeVar("Model", bound=Struct)

OPENAPI = Path(__file__).parent / "openapi.yaml"
MAX_RUNS = 500
"""Maximum number of runs in a page of the list."""

DEFAULT_RUNS = 50
"""Number of runs in a page if the request names none."""

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
        notebook = await read_notebook(self.contents_manager, path)
        source, warnings = await add_modules(self.contents_manager, path, notebook)
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
        self.answer(run_view(run, services.links.urls), 201)


class RunsHandler(PDFlowAPIHandler):
    """``/runs``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List runs, newest first, a page at a time."""
        query = RunQuery(
            status=cast("RunStatus | None", self._choice("status", get_args(RunStatus))),
            workflow_id=self.get_query_argument("workflow", None),
            pause=cast("PauseKind | None", self._choice("pause", get_args(PauseKind))),
            search=self._search(),
            before=self.get_query_argument("before", None),
            limit=self._limit() + 1,
        )
        services = await self.services()
        runs = await services.service.runs(query)
        if len(runs) == query.limit:
            self._link_next(runs[-2].id)
        # In a thread: there may be 500 runs with 100 decisions each.
        self.answer(await in_thread(run_items, runs[: query.limit - 1], services.links.urls))

    def _limit(self) -> int:
        text = self.get_query_argument("limit", str(DEFAULT_RUNS))
        # The slice keeps int() from refusing a text of thousands of digits.
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_RUNS):
            msg = f"limit must be a number from 1 to {MAX_RUNS}, not {text!r}."
            raise BadRequestError(msg)
        return int(text)

    def _search(self) -> str | None:
        text = self.get_query_argument("search", None)
        if text is None:
            return None
        if len(text) > MAX_SEARCH_CHARACTERS or len(text.split()) > MAX_SEARCH_WORDS:
            msg = (
                f"search may have {MAX_SEARCH_WORDS} words and {MAX_SEARCH_CHARACTERS:,} "
                f"characters at most, not {len(text.split()):,} and {len(text):,}."
            )
            raise BadRequestError(msg)
        return text

    def _choice(self, name: str, known: Sequence[str]) -> str | None:
        given = self.get_query_argument(name, None)
        if given is not None and given not in known:
            msg = f"{name} must be one of {', '.join(known)}, not {given!r}."
            raise BadRequestError(msg)
        return given

    def _link_next(self, last: str) -> None:
        """Link to the next page: the same query, before the last run of this page."""
        names = ("status", "workflow", "pause", "search", "limit")
        given = {name: self.get_query_argument(name, None) for name in names}
        arguments = {name: value for name, value in given.items() if value is not None}
        query = urlencode({**arguments, "before": last})
        self.set_header("Link", f'<{self.request.path}?{query}>; rel="next"')


class RunHandler(PDFlowAPIHandler):
    """``/runs/{id}``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Show a run with its event and exports."""
        services = await self.services()
        self.answer(run_view(await services.service.run(run_id), services.links.urls))

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
        # In a thread: each output is validated.
        text = await in_thread(notebook_text, run, workflow, outputs)
        self.set_attachment_header(f"{run.workflow_name}-{run.id}.ipynb")
        self.finish(text, set_content_type="application/x-ipynb+json")


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
        self.answer(run_view(run, services.links.urls))


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
        self.answer(run_view(run, services.links.urls))


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
        self.answer(run_view(run, services.links.urls))


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
        """List the emails of steps, newest first."""
        service = await self.service()
        self.answer(await in_thread(_each, email_view, await service.emails()))


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
    (r"/pdflow/api/runs", RunsHandler),
    (r"/pdflow/api/runs/([^/]+)", RunHandler),
    (r"/pdflow/api/runs/([^/]+)/notebook", RunNotebookHandler),
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
