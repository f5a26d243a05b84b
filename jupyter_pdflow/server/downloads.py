"""The routes of the files that steps have saved below ``pd.files``."""

from __future__ import annotations

import os
from typing import BinaryIO

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from jupyter_pdflow.server.api_handler import PDFlowAPIHandler
from jupyter_pdflow.server.redaction import LinkHider
from jupyter_pdflow.server.views import file_view
from jupyter_pdflow.store.threads import in_reader, in_thread

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
