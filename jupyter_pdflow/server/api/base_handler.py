"""The base class of the API's handlers: authorization, JSON bodies, answers and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import BadRequestError, NotFoundError, PDFlowError
from jupyter_pdflow.rules.execution import EXPORTS_LIMIT
from jupyter_pdflow.rules.people import Person
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.api.models import error_response, run_view
from jupyter_pdflow.server.identity import person_of
from jupyter_pdflow.server.links.requests import is_storable
from jupyter_pdflow.server.links.tokens import Answer, hide_links, without_urls
from jupyter_pdflow.server.services import ServiceManager, Services
from jupyter_pdflow.stores.validation import is_id
from jupyter_pdflow.threads import in_thread

Body = TypeVar("Body", bound=msgspec.Struct)
Method = TypeVar("Method", bound=Callable[..., Any])

BAD_REQUEST = 400
METHOD_NOT_ALLOWED = 405


def requires(action: Literal["read", "execute"]) -> Callable[[Method], Method]:
    """Return a decorator that asks the server's authorizer for an action on `jupyter_pdflow`.

    Jupyter's own decorator takes the action from the HTTP method.
    """
    return cast("Callable[[Method], Method]", authorized(action=action))


class PDFlowAPIHandler(APIHandler):
    """The base class of all routes."""

    auth_resource = "jupyter_pdflow"
    _may_execute = False
    _are_links_hidden = False

    def initialize(self, service_manager: ServiceManager) -> None:
        """Store what the routes work with."""
        self._service_manager = service_manager

    async def prepare(self) -> None:  # type: ignore[override]
        """Ask what the user may do, and check the configuration and the ids in the path.

        Raises
        ------
        ConfigurationError
            A trait can't be used.
        NotFoundError
            A text in the path can't be an id.
        """
        await super().prepare()
        user = self.current_user
        if user is not None:
            allowed = self.authorizer.is_authorized(self, user, "execute", self.auth_resource)
            self._may_execute = bool(await ensure_async(allowed))
            self._service_manager.check()
            if not all(map(is_id, self.ids())):
                msg = "There is nothing of that id."
                raise NotFoundError(msg)

    def on_finish(self) -> None:
        """Learn the public address from a request that was authorized and answered."""
        services = self._service_manager.opened
        # Jupyter answers OPTIONS without authorization.
        answered = self.get_status() < BAD_REQUEST and self.request.method != "OPTIONS"
        if answered and services is not None and self.current_user is not None:
            services.address.observe(self)

    def person(self) -> Person:
        """Return who sends the request."""
        return person_of(self.current_user, self.identity_provider)

    def ids(self) -> list[str]:
        """Return the ids in the request's path."""
        return list(self.path_args)

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        """Write a part of an answer, without links for users who may not use them."""
        may_show = self._may_execute or self._are_links_hidden
        super().write(chunk if may_show else hide_links(chunk))

    async def services(self) -> Services:
        """Return the services; raises what `ServiceManager.services` raises."""
        return await self._service_manager.services()

    async def service(self) -> Service:
        """Return the service of runs; raises what `ServiceManager.services` raises."""
        return (await self.services()).service

    def read_json(self, body_type: type[Body]) -> Body:
        """Return the request's JSON body; an empty body is read as an empty object.

        Raises
        ------
        BadRequestError
            The body is not of this type.
        HTTPError
            The body is too large.
        """
        raw = self.request.body
        if len(raw) > EXPORTS_LIMIT:
            raise web.HTTPError(413, f"The body is larger than {EXPORTS_LIMIT:,} bytes.")
        try:
            value = msgspec.json.decode(raw) if raw.strip() else {}
            body = msgspec.convert(value, body_type)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            msg = f"The body is not what this route takes: {error}."
            raise BadRequestError(msg) from error
        if not is_storable(value):
            msg = "The body is nested too deeply."
            raise BadRequestError(msg)
        return body

    def answer(self, data: Answer, status: int = 200) -> None:
        """Answer with JSON, without links for users who may not use them."""
        self.set_status(status)
        self.finish(msgspec.json.encode(data if self._may_execute else without_urls(data)))

    async def answer_run(self, services: Services, run: Run, status: int = 200) -> None:
        """Answer with a run."""
        numbers = await services.service.version_numbers([run])
        self.answer(run_view(run, services.links.urls, numbers), status)

    async def finish_large(self, make: Callable[[], str | bytes], content_type: str) -> None:
        """Answer with what a function returns, which is called in a thread, as is hiding links."""
        content = await in_thread(make)
        if not self._may_execute:
            content = cast("str | bytes", await in_thread(hide_links, content))
        self._are_links_hidden = True
        self.finish(content, set_content_type=content_type)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with ``{message, reason}``."""
        error = kwargs.get("exc_info", (None, None))[1]
        status, body = error_response(status_code, error)
        if status == METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self._implemented_methods()))
        self.answer(body, status)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an expected error for debugging only."""
        if isinstance(value, PDFlowError):
            self.log.debug("%s: %s", value.reason, value)
        else:
            super().log_exception(typ, value, tb)

    def _implemented_methods(self) -> list[str]:
        unimplemented = web.RequestHandler._unimplemented_method
        return [
            name
            for name in self.SUPPORTED_METHODS
            if getattr(type(self), name.lower()) is not unimplemented
        ]
