"""The base of the API's handlers, and downloads of files."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, TypeVar, cast

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.iostream import StreamClosedError

from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import BadRequestError, NotFoundError, PDFlowError
from jupyter_pdflow.rules.execution import EXPORTS_LIMIT
from jupyter_pdflow.server.api.models import error_answer, file_view
from jupyter_pdflow.server.links.requests import is_storable
from jupyter_pdflow.server.links.tokens import LinkHider, hide_links, without_urls
from jupyter_pdflow.server.services import ServiceManager, Services
from jupyter_pdflow.stores.tinydb.storage import in_reader, in_thread
from jupyter_pdflow.stores.tinydb.validation import is_id

Body = TypeVar("Body", bound=msgspec.Struct)
Method = TypeVar("Method", bound=Callable[..., Any])
METHOD_NOT_ALLOWED = 405
BAD_REQUEST = 400


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

    def initialize(self, service_manager: ServiceManager) -> None:
        """Take what the routes work with."""
        self._service_manager = service_manager

    async def prepare(self) -> None:  # type: ignore[override]
        """Find out what the user may do; refuse what no route can be of use for."""
        await super().prepare()
        user = self.current_user
        if user is not None:
            allowed = self.authorizer.is_authorized(self, user, "execute", self.auth_resource)
            self._may_execute = bool(await ensure_async(allowed))
            self._service_manager.check()
            _check_ids(self.ids())

    def on_finish(self) -> None:
        """Learn where links point to from a request that the user was allowed to make."""
        services = self._service_manager.present
        answered = self.get_status() < BAD_REQUEST and self.request.method != "OPTIONS"
        if answered and services is not None and self.current_user is not None:
            services.address.observe(self)

    def ids(self) -> list[str]:
        """Return the ids in the request's path."""
        return list(self.path_args)

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        """Write a part of an answer, without links for users who may not use them."""
        super().write(chunk if self._may_execute else hide_links(chunk))

    async def services(self) -> Services:
        """Get what works on the data; raises what `ServiceManager.services` raises."""
        return await self._service_manager.services()

    async def engine(self) -> Service:
        """Get the engine; raises what `ServiceManager.services` raises."""
        return (await self.services()).engine

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


CHUNK = 2**20
"""Bytes of a file that are in memory at once."""

ANY_FILE = "application/octet-stream"
"""The type of every file, so that no browser shows what a step has written as a page of ours."""


class RunFilesHandler(PDFlowAPIHandler):
    """``/runs/{id}/files``."""

    @web.authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """List the files of a run."""
        services = await self.services()
        run = services.engine.run(run_id)
        self.answer([file_view(file) for file in await in_reader(services.folders.list, run.id)])


class RunFileHandler(PDFlowAPIHandler):
    """``/runs/{id}/files/{path}``."""

    def ids(self) -> list[str]:
        """Return the run's id; the rest is a path."""
        return super().ids()[:1]

    @web.authenticated
    @authorized
    async def get(self, run_id: str, path: str) -> None:
        """Send a file of a run, to be saved and not to be shown."""
        services = await self.services()
        run = services.engine.run(run_id)
        with await in_thread(services.folders.read, run.id, path) as file:
            self.set_attachment_header(path.rpartition("/")[2])
            self.set_header("Content-Type", ANY_FILE)
            self.set_header("X-Content-Type-Options", "nosniff")
            try:
                await self._send(file, os.fstat(file.fileno()).st_size)
            except StreamClosedError:
                return
            self.finish(set_content_type=ANY_FILE)

    async def _send(self, file: BinaryIO, size: int) -> None:
        """Send a file, as long as it was when it was opened."""
        hider = None if self._may_execute else LinkHider()
        if hider is None:
            self.set_header("Content-Length", str(size))
        while size > 0 and (chunk := await in_thread(file.read, min(size, CHUNK))):
            size -= len(chunk)
            self.write(chunk if hider is None else hider.feed(chunk))
            await self.flush()
        if hider is not None:
            self.write(hider.end())
