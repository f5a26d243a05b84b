"""The Jupyter server extension: its traits, its handlers, its events and its activity."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_events import EventLogger
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from tornado.ioloop import PeriodicCallback
from traitlets import Bool, Float, Int, List, TraitType, Unicode, Union, default
from traitlets.config import Config

from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.rules.events import MAX_CRASHES
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.api.handlers import ROUTES
from jupyter_pdflow.server.api.models import stamp
from jupyter_pdflow.server.configuration import check, folder, separate, wrong_kind
from jupyter_pdflow.server.links.clients import RateLimiter
from jupyter_pdflow.server.links.handler import LinkHandler, LinkOptions
from jupyter_pdflow.server.links.tokens import ACTIONS, Redaction
from jupyter_pdflow.server.public_url import fixed_address, host_of
from jupyter_pdflow.server.services import ClosedKeeper, DataLock, ServiceManager, build_services
from jupyter_pdflow.settings import DATA_DIR_VARIABLE, Settings
from jupyter_pdflow.stores.tinydb.folders import FILES

logger = logging.getLogger(__name__)

SCHEMA = Path(__file__).parent / "run-event.yaml"
SCHEMA_ID = "https://schema.jupyter.org/jupyter_pdflow/run/v1"


def register(logger: EventLogger) -> None:
    """Register the schema of the event, once."""
    if SCHEMA_ID not in logger.schemas:
        logger.register_event_schema(SCHEMA)


def emit(logger: EventLogger, run: Run) -> None:
    """Tell that a run has changed; call it on the event loop's thread."""
    logger.emit(schema_id=SCHEMA_ID, data=event_of(run))


def event_of(run: Run) -> dict[str, Any]:
    """Describe a change: what the run is now, no data and no links."""
    pause = run.pause
    return {
        "run_id": run.id,
        "workflow_id": run.workflow_id,
        "workflow_name": run.workflow_name,
        "status": run.status,
        "step": run.current.name,
        "pause_kind": pause.kind if pause else None,
        "deadline": stamp(pause.deadline) if pause else None,
        "updated_at": stamp(run.updated_at),
    }


SETTING = "jupyter_pdflow_last_activity"
"""Jupyter counts every setting of its web application whose name ends like this."""

EVERY_MS = 1_000


class Activity:
    """Keeps the time of the last activity fresh while `busy` says so.

    Parameters
    ----------
    settings : dict
        The settings of Jupyter's web application.
    busy : callable
        Whether a run is queued or running.
    """

    def __init__(self, settings: dict[str, Any], busy: Callable[[], bool]) -> None:
        self._settings = settings
        self._busy = busy
        self._watch = PeriodicCallback(self._look, EVERY_MS)

    def start(self) -> None:
        """Begin to look."""
        self._watch.start()

    def stop(self) -> None:
        """Look no more."""
        self._watch.stop()

    def note(self) -> None:
        """Say that something happens now."""
        self._settings[SETTING] = datetime.now(UTC)

    def _look(self) -> None:
        if self._busy():
            self.note()


class LogForwarding(logging.Handler):
    """Hands what this package's modules log to the log of the server, until it is closed.

    Parameters
    ----------
    log : logging.Logger
        The log of the server's extension.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        super().__init__()
        self._log = log if isinstance(log, logging.Logger) else log.logger
        logger = logging.getLogger("jupyter_pdflow")
        logger.setLevel(self._log.getEffectiveLevel())
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a record."""
        self._log.handle(record)

    def close(self) -> None:
        """Hand over no more."""
        logging.getLogger("jupyter_pdflow").removeHandler(self)
        super().close()


class PDFlow(ExtensionApp):
    """Workflows written in notebooks: pause, resume and rerun."""

    name = "jupyter_pdflow"
    description = "Durable, human-in-the-loop workflows written in notebooks."

    data_dir = Unicode(
        help="""
        Folder for runs, workflows, mails and keys; only one server at a time works on it.
        By default the folder pdflow in Jupyter's data folder.
        """
    ).tag(config=True)
    files_dir = Unicode(
        help="""
        Folder for the files that steps save below pd.files; servers and kernels on other machines
        have to see it at the same path. By default the folder files in data_dir.
        """
    ).tag(config=True)
    public_url = Unicode(
        help="""
        This server's address as those reach it who open a link, with its base URL:
        https://example.org/user/me/. By default what JupyterHub says, else the address at which
        your browser last used this server.
        """
    ).tag(config=True)
    confirm_links = Bool(
        default_value=False,
        help="""
        Whether a person who opens a link has to click a button on its page before it acts. By
        default opening it is enough.
        """,
    ).tag(config=True)
    max_body_bytes = Int(
        512 * 1024,
        min=0,
        help="How large the body of a request to a link may be, also when it is unpacked.",
    ).tag(config=True)
    body_timeout_seconds = Float(
        30.0,
        min=0.01,
        help="""
        For how many seconds a request to a link may send nothing of its body before it is
        answered 408; the whole body may take ten times as long.
        """,
    ).tag(config=True)
    max_kernels = Int(
        min=1,
        help="How many production kernels may live at once. By default the number of CPUs.",
    ).tag(config=True)
    idle_kernel_seconds = Float(
        300.0, min=0.0, help="After how many seconds an unused production kernel is shut down."
    ).tag(config=True)
    spare_kernels = Int(
        0,
        min=0,
        help="""
        How many more kernels are kept started for runs that find none that is warm. By default
        none: nothing runs while all runs wait.
        """,
    ).tag(config=True)
    max_crashes = Int(
        MAX_CRASHES,
        min=MAX_CRASHES,
        help="""
        After how many crashes of the server, or of its gateway, the step that was executing each
        time is not executed again. From the second on it waits, and is executed alone.
        """,
    ).tag(config=True)
    smtp_url = Unicode(
        help="""
        The server that delivers mails: smtp://user:password@host:port, or smtps://. Without it,
        mails are kept as .eml files in the data folder.
        """
    ).tag(config=True)
    mail_from = Unicode("jupyter_pdflow@localhost", help="The sender of all mails.").tag(
        config=True
    )
    mail_to = Union(
        [Unicode(), List(Unicode())],
        help="Who gets the mails that name no recipient: an address, or several.",
    ).tag(config=True)
    keep_days = Float(
        None,
        allow_none=True,
        min=0.0,
        help="After how many days finished runs are deleted. By default they are kept.",
    ).tag(config=True)

    service_manager: ServiceManager
    _activity: Activity
    _logging: LogForwarding
    _wrong: dict[str, ConfigurationError]

    @default("data_dir")
    def _default_data_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "pdflow")

    @default("files_dir")
    def _default_files_dir(self) -> str:
        return str(Path(self.data_dir) / FILES)

    @default("max_kernels")
    def _default_max_kernels(self) -> int:
        return os.cpu_count() or 1

    def __init__(self, **kwargs: Any) -> None:
        self._wrong = {}
        super().__init__(**kwargs)

    # --- Jupyter's hooks ---

    def _load_config(
        self,
        cfg: Config,
        section_names: list[str] | None = None,
        traits: dict[str, TraitType[Any, Any]] | None = None,
    ) -> None:
        """Load each trait by itself, and remember those that can't be used.

        Jupyter would only warn of them, and run on without this extension or with half of it.
        """
        known = self.traits(config=True) if traits is None else traits
        for name, value in self._find_my_config(cfg).items():
            one = Config({type(self).__name__: {name: value}})
            try:
                super()._load_config(one, section_names, traits)
            except Exception:
                if name not in known:
                    raise
                self._wrong[name] = wrong_kind(known[name])
            else:
                self._wrong.pop(name, None)

    def initialize_settings(self) -> None:
        """Get ready, without touching a run: the event loop does not run yet."""
        server = self._server
        self.service_manager = self._new_keeper(server.connection_url)
        self._activity = Activity(server.web_app.settings, self._is_busy)
        for handler in self.log.handlers + server.log.handlers:
            handler.addFilter(Redaction())
        self._logging = LogForwarding(self.log)
        register(self._event_logger)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        link = {
            "service_manager": self.service_manager,
            "rate_limiter": RateLimiter(),
            "options": LinkOptions(
                max_body_bytes=self.max_body_bytes,
                body_seconds=self.body_timeout_seconds,
                confirm=self.confirm_links,
                host=host_of(fixed_address(self.public_url)),
            ),
        }
        for action in ACTIONS:
            pattern = rf"/pdflow/{action}(?:/.*)?"
            self.handlers.append((pattern, LinkHandler, {**link, "action": action}))
        for pattern, handler in ROUTES:
            self.handlers.append((pattern, handler, {"service_manager": self.service_manager}))

    async def _start_jupyter_server_extension(self, _serverapp: ServerApp) -> None:
        self._activity.start()
        self.service_manager.start()

    async def stop_extension(self) -> None:
        """Stop all work; paused runs wait for the next start."""
        self._activity.stop()
        await self.service_manager.close()
        self._logging.close()

    # --- inside ---

    @property
    def _server(self) -> ServerApp:
        assert self.serverapp is not None  # noqa: S101  Jupyter sets it first of all
        return self.serverapp

    @property
    def _event_logger(self) -> EventLogger:
        logger: EventLogger = self._server.web_app.settings["event_logger"]
        return logger

    def _new_keeper(self, url: str) -> ServiceManager:
        try:
            settings = self.checked_settings()
        except ConfigurationError as error:
            return ClosedKeeper(error)
        os.environ[DATA_DIR_VARIABLE] = str(settings.data_dir)
        build = partial(build_services, settings, self._server, self._on_change)
        return ServiceManager(DataLock(settings.data_dir), build, url=url)

    def checked_settings(self) -> Settings:
        """Return what is configured.

        Raises
        ------
        ConfigurationError
            A trait can't be used.
        """
        self._check_kinds()
        return check(
            Settings(
                data_dir=folder(self.data_dir, "data_dir"),
                files_dir=folder(self.files_dir, "files_dir"),
                public_url=self.public_url,
                max_kernels=self.max_kernels,
                idle_kernel_seconds=self.idle_kernel_seconds,
                spare_kernels=self.spare_kernels,
                max_crashes=self.max_crashes,
                smtp_url=self.smtp_url,
                mail_from=self.mail_from,
                mail_to=separate(self.mail_to),
                keep_days=self.keep_days,
            )
        )

    def _check_kinds(self) -> None:
        for error in self._wrong.values():
            raise error
        for name, trait in self.traits(config=True).items():
            value = getattr(self, name)
            if isinstance(value, float) and math.isnan(value):
                raise wrong_kind(trait)

    def _on_change(self, run: Run) -> None:
        self._activity.note()
        emit(self._event_logger, run)

    def _is_busy(self) -> bool:
        services = self.service_manager.present
        return services is not None and services.engine.busy
