"""A front end that is always on: links, the API and the metrics, without notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_pdflow.worker.app import ExtensionServer


class ServeApp(ExtensionServer):
    """A Jupyter server that serves this extension, and neither files nor kernels."""

    default_services = ("api", "auth", "security", "shutdown")  # type: ignore[assignment]

    def init_configurables(self) -> None:
        """Make the managers; files of notebooks are read when they are deployed, and not served."""
        super().init_configurables()
        self.contents_manager.files_handler_class = None

    def running_server_info(self, kernel_count: bool = True) -> str:  # noqa: ARG002
        """Return what is logged at the start."""
        return f"Serving links, the API and metrics of workflows at:\n{self.display_url}"


def serve(arguments: Sequence[str]) -> None:
    """Run a front end in this process until a signal ends it.

    Parameters
    ----------
    arguments : sequence of str
        Options of Jupyter Server and of this extension.
    """
    server = ServeApp.instance(open_browser=False)
    server.initialize([*arguments], find_extensions=False)
    server.start()
