"""The files of the widgets' views, for the pages of this server: ``/pdflow/static/views.js``.

They are public, as all static files of Jupyter: they hold the code of this package and no data.
"""

from __future__ import annotations

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import HTTPError

from jupyter_pdflow.threads import in_thread
from jupyter_pdflow.widgets.bundle import views, views_version

PATTERN = r"/pdflow/static/views\.(js|css)"

TYPES = {"js": "text/javascript", "css": "text/css"}
KINDS = {"js": "module", "css": "style"}

FOREVER = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"


class ViewsHandler(JupyterHandler):
    """Answers with the views of this installation, whatever version is asked for.

    A browser keeps them if it asked for their version, ``?v=…``. Loaders of other versions, in
    saved notebooks or kernels of other environments, get them too, but have to ask each time.
    """

    @allow_unauthenticated
    async def get(self, extension: str) -> None:
        """Answer with a file."""
        try:
            texts, version = await in_thread(views), await in_thread(views_version)
        except FileNotFoundError:
            raise HTTPError(404, "The views are not built.") from None
        is_current = self.get_query_argument("v", "") == version
        self.set_header("Content-Type", f"{TYPES[extension]}; charset=utf-8")
        self.set_header("Cache-Control", FOREVER if is_current else REVALIDATED)
        self.finish(texts[KINDS[extension]])

    head = get
