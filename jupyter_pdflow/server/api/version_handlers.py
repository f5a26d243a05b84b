"""The routes of the versions of workflows, and of what is deployed of a notebook."""

from __future__ import annotations

from typing import NamedTuple

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from tornado import web

from jupyter_pdflow.exceptions import GatewayError, KernelSpecError, NotebookError
from jupyter_pdflow.models import Deployment
from jupyter_pdflow.rules.workflow import version_of
from jupyter_pdflow.server.api.base_handler import PDFlowAPIHandler
from jupyter_pdflow.server.api.models import version_item, version_view, workflow_view
from jupyter_pdflow.server.notebooks import normalize_path, read_workflow
from jupyter_pdflow.server.services import Services
from jupyter_pdflow.threads import in_thread


class VersionsHandler(PDFlowAPIHandler):
    """``/workflows/{id}/versions``."""

    @web.authenticated
    @authorized
    async def get(self, workflow_id: str) -> None:
        """List the versions of a workflow, newest first."""
        service = await self.service()
        self.answer([version_item(each) for each in await service.versions(workflow_id)])


class VersionHandler(PDFlowAPIHandler):
    """``/workflows/{id}/versions/{version}``."""

    @web.authenticated
    @authorized
    async def get(self, workflow_id: str, version: str) -> None:
        """Show a version of a workflow with its code."""
        service = await self.service()
        self.answer(version_view(await service.workflow(workflow_id, version)))


class SavedNotebook(NamedTuple):
    """A notebook as it is saved now.

    Attributes
    ----------
    version : str or None
        The hash of its code; None if it is no workflow.
    problem : str or None
        Why it can't be deployed.
    """

    version: str | None
    problem: str | None


class DeploymentHandler(PDFlowAPIHandler):
    """``/deployment``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Show what is deployed of a notebook, and whether it was edited since."""
        path = normalize_path(self.get_query_argument("path", "", strip=False))
        await self._check_may_read_notebooks()
        services = await self.services()
        saved = await self._examine(services, path)
        workflow = await services.service.deployed(path)
        deployment = Deployment(
            path=path,
            workflow=None if workflow is None else workflow_view(workflow),
            version=None if saved.problem else saved.version,
            edited=workflow is not None and saved.version != workflow.version,
            problem=saved.problem,
        )
        self.answer(deployment)

    async def _check_may_read_notebooks(self) -> None:
        """Raise HTTPError if the user may not read files: answers tell about them."""
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", "contents")
        if not await ensure_async(allowed):
            raise web.HTTPError(403, "You may not read notebooks on this server.")

    async def _examine(self, services: Services, path: str) -> SavedNotebook:
        """Read a notebook as a deploy does, and start no kernel.

        Raises
        ------
        NotFoundError, BadRequestError
            It is not below the server's root folder.
        """
        try:
            source, _ = await read_workflow(self.contents_manager, path)
        except NotebookError as error:
            return SavedNotebook(None, str(error))
        version = await in_thread(version_of, source)
        try:
            await services.pool.find(source.kernel_name)
        except (KernelSpecError, GatewayError) as error:
            return SavedNotebook(version, str(error))
        return SavedNotebook(version, None)
