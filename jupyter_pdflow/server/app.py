"""The Jupyter server extension: its traits, its routes, its events, activity and logging."""

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
from msgspec import to_builtins
from tornado.ioloop import PeriodicCallback
from traitlets import Bool, Dict, Float, Int, List, TraitType, Unicode, Union, default
from traitlets.config import Config

from jupyter_pdflow import models
from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.rules.decisions import timestamp
from jupyter_pdflow.rules.events import MAX_CRASHES
from jupyter_pdflow.rules.workflow import DEFAULT_QUEUE
from jupyter_pdflow.server.api.handlers import ROUTES
from jupyter_pdflow.server.configuration import (
    check_settings,
    folder_path,
    split_addresses,
    wrong_type_error,
)
from jupyter_pdflow.server.health import Snapshot, Snapshots
from jupyter_pdflow.server.inbox import InboxPageHandler
from jupyter_pdflow.server.links.clients import RateLimiter
from jupyter_pdflow.server.links.handler import LinkHandler
from jupyter_pdflow.server.links.intake import LinkOptions
from jupyter_pdflow.server.links.tokens import ACTIONS, Redaction
from jupyter_pdflow.server.metrics import COLLECTOR
from jupyter_pdflow.server.public_url import fixed_address, host_of
from jupyter_pdflow.server.services import (
    RefusingServiceManager,
    ServiceManager,
    build_services,
)
from jupyter_pdflow.server.views import PATTERN, ViewsHandler
from jupyter_pdflow.settings import DATA_DIR_VARIABLE, DATABASE_URL_VARIABLE, Settings
from jupyter_pdflow.stores import RunChange
from jupyter_pdflow.stores.folders import FILES
from jupyter_pdflow.stores.tinydb.layout import DataLock

SCHEMA = Path(__file__).parent / "run-event.yaml"
SCHEMA_ID = "https://schema.jupyter.org/jupyter_pdflow/run/v1"

ACTIVITY_SETTING = "jupyter_pdflow_last_activity"
"""Jupyter reads each setting of its web application whose name ends with ``_last_activity``."""

ACTIVITY_MS = 1_000
"""Time between two updates of the last activity while a run is queued or running."""


class PDFlow(ExtensionApp):
    """Workflows written in notebooks: pause, resume and rerun."""

    name = "jupyter_pdflow"
    description = "Durable, human-in-the-loop workflows written in notebooks."

    data_dir = Unicode(
        help="""
        Folder for runs, workflows, emails and keys. Only one server at a time can use it.
        The default is the folder pdflow in Jupyter's data folder.
        """
    ).tag(config=True)
    database_url = Unicode(
        help="""
        PostgreSQL database that several servers and workers share, such as
        postgresql://user:password@host/database. Without it, runs are stored in data_dir, and this
        server executes them alone. The default is the environment variable
        JUPYTER_PDFLOW_DATABASE_URL.
        """
    ).tag(config=True)
    queues = List(
        Unicode(),
        [DEFAULT_QUEUE],
        help="""
        Names of the queues whose runs this process executes, if there is a database_url. A workflow
        names its queue with %queue; without that it is default.
        """,
    ).tag(config=True)
    worker_name = Unicode(
        help="Name of this process in lists of workers. The default is HOST:PID."
    ).tag(config=True)
    files_dir = Unicode(
        help="""
        Folder for the files that steps save below pd.files. Servers and kernels on other machines
        must see it at the same path. The default is the folder files in data_dir.
        """
    ).tag(config=True)
    public_url = Unicode(
        help="""
        Public address of this server with its base URL, such as https://example.org/user/me/.
        Links start with it. The default is the address that JupyterHub sets, or else the address
        at which your browser last used this server.
        """
    ).tag(config=True)
    confirm_links = Bool(
        default_value=False,
        help="""
        Whether a person who opens a link must click a button on its page before the link acts.
        By default, the link acts when it is opened.
        """,
    ).tag(config=True)
    max_body_bytes = Int(
        512 * 1024,
        min=0,
        help="""
        Maximum size in bytes of the body of a request to a link. It also limits the decompressed
        body.
        """,
    ).tag(config=True)
    body_timeout_seconds = Float(
        30.0,
        min=0.01,
        help="""
        Maximum number of seconds without a byte of the body of a request to a link. Then the
        request is answered with status 408. The whole body may take ten times as long.
        """,
    ).tag(config=True)
    max_kernels = Int(
        min=0,
        help="""
        Maximum number of production kernels. The default is the number of CPUs. With a
        database_url, it can be 0: workers execute the steps then.
        """,
    ).tag(config=True)
    idle_kernel_seconds = Float(
        300.0,
        min=0.0,
        help="Number of seconds after which an unused production kernel is shut down.",
    ).tag(config=True)
    spare_kernels = Int(
        0,
        min=0,
        help="""
        Number of additional kernels that are kept started, for runs that find no warm kernel.
        The default is 0, so that no kernel runs while all runs wait.
        """,
    ).tag(config=True)
    max_crashes = Int(
        MAX_CRASHES,
        min=MAX_CRASHES,
        help="""
        Number of crashes of the server, or of its gateway, after which the step that was executing
        each time is not executed again. After the second crash, the step waits and is executed
        alone.
        """,
    ).tag(config=True)
    smtp_url = Unicode(
        help="""
        SMTP server that delivers emails: smtp://user:password@host:port, or smtps://… for TLS.
        Without it, emails are kept as .eml files in the data folder.
        """
    ).tag(config=True)
    mail_from = Unicode("jupyter_pdflow@localhost", help="Sender address of all emails.").tag(
        config=True
    )
    mail_to = Union(
        [Unicode(), List(Unicode())],
        help="Recipients of emails without a recipient: one address, or several.",
    ).tag(config=True)
    people = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        help="""
        The email address of each user name, such as {"ada": "ada@example.org"}: both are one
        person, who is asked by email and decides signed in or by a link.
        """,
    ).tag(config=True)
    groups = Dict(
        value_trait=List(Unicode()),
        key_trait=Unicode(),
        help="""
        The members of each group of approvers, as user names or email addresses, such as
        {"finance": ["ada", "bob@example.org"]}. A step asks them as "group:finance".
        """,
    ).tag(config=True)
    keep_days = Float(
        None,
        allow_none=True,
        min=0.0,
        help="Number of days after which finished runs are deleted. By default they are kept.",
    ).tag(config=True)

    service_manager: ServiceManager
    _activity: ActivityReporter
    _log_forwarding: LogForwarding
    _trait_errors: dict[str, ConfigurationError]

    @default("data_dir")
    def _default_data_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "pdflow")

    @default("database_url")
    def _default_database_url(self) -> str:
        return os.environ.get(DATABASE_URL_VARIABLE, "")

    @default("files_dir")
    def _default_files_dir(self) -> str:
        return str(Path(self.data_dir) / FILES)

    @default("max_kernels")
    def _default_max_kernels(self) -> int:
        return os.cpu_count() or 1

    def __init__(self, **kwargs: Any) -> None:
        # Before super().__init__, which loads the configuration.
        self._trait_errors = {}
        super().__init__(**kwargs)

    # --- called by Jupyter ---

    def _load_config(
        self,
        cfg: Config,
        section_names: list[str] | None = None,
        traits: dict[str, TraitType[Any, Any]] | None = None,
    ) -> None:
        """Load each trait separately, and remember those that can't be used.

        Jupyter would only log a warning, and run without this extension or with a part of the
        configuration.
        """
        known = self.traits(config=True) if traits is None else traits
        for name, value in self._find_my_config(cfg).items():
            section = Config({type(self).__name__: {name: value}})
            try:
                super()._load_config(section, section_names, traits)
            except Exception:
                if name not in known:
                    raise
                self._trait_errors[name] = wrong_type_error(known[name])
            else:
                self._trait_errors.pop(name, None)

    def initialize_settings(self) -> None:
        """Prepare the extension; the event loop does not run yet."""
        server = self._server
        self.service_manager = self._build_service_manager(server.connection_url)
        self._activity = ActivityReporter(server.web_app.settings, self._is_busy)
        for handler in self.log.handlers + server.log.handlers:
            handler.addFilter(Redaction())
        self._log_forwarding = LogForwarding(self.log)
        register_event_schema(self._event_logger)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        arguments = {
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
            self.handlers.append((pattern, LinkHandler, {**arguments, "action": action}))
        self.handlers.append((PATTERN, ViewsHandler))
        for pattern, handler in [(r"/pdflow/inbox", InboxPageHandler), *ROUTES]:
            self.handlers.append((pattern, handler, {"service_manager": self.service_manager}))

    async def _start_jupyter_server_extension(self, _serverapp: ServerApp) -> None:
        self._activity.start()
        self._snapshots = Snapshots(self._snapshot)
        self._forget_metrics = COLLECTOR.add(self._snapshots.latest)
        self.service_manager.start()

    async def stop_extension(self) -> None:
        """Stop all work; paused runs wait for the next start."""
        self._activity.stop()
        self._forget_metrics()
        await self._snapshots.close()
        await self.service_manager.close()
        self._log_forwarding.close()

    # --- settings ---

    def checked_settings(self) -> Settings:
        """Return the configuration.

        Raises
        ------
        ConfigurationError
            A trait can't be used.
        """
        self._check_types()
        return check_settings(
            Settings(
                data_dir=folder_path(self.data_dir, "data_dir"),
                files_dir=folder_path(self.files_dir, "files_dir"),
                database_url=self.database_url.strip(),
                queues=list(self.queues),
                worker_name=self.worker_name.strip(),
                public_url=self.public_url,
                max_kernels=self.max_kernels,
                idle_kernel_seconds=self.idle_kernel_seconds,
                spare_kernels=self.spare_kernels,
                max_crashes=self.max_crashes,
                smtp_url=self.smtp_url,
                mail_from=self.mail_from,
                mail_to=split_addresses(self.mail_to),
                keep_days=self.keep_days,
                people=dict(self.people),
                groups=dict(self.groups),
                configured=frozenset(self.config.get("PDFlow", {})),
            )
        )

    def _check_types(self) -> None:
        for error in self._trait_errors.values():
            raise error
        for name, trait in self.traits(config=True).items():
            value = getattr(self, name)
            # NaN passes the bounds of traitlets, as it is not less than anything.
            if isinstance(value, float) and math.isnan(value):
                raise wrong_type_error(trait)

    def _build_service_manager(self, url: str) -> ServiceManager:
        try:
            settings = self.checked_settings()
        except ConfigurationError as error:
            return RefusingServiceManager(error)
        # Kernels inherit the environment, and their magics read this variable.
        os.environ[DATA_DIR_VARIABLE] = str(settings.data_dir)
        build = partial(build_services, settings, self._server)
        # One server at a time works on a data directory, and any number on a database.
        lock = None if settings.database_url else DataLock(settings.data_dir)
        return ServiceManager(lock, build, self._on_change, url=url)

    # --- the running server ---

    @property
    def _server(self) -> ServerApp:
        assert self.serverapp is not None  # noqa: S101  Jupyter sets it before all else
        return self.serverapp

    @property
    def _event_logger(self) -> EventLogger:
        event_logger: EventLogger = self._server.web_app.settings["event_logger"]
        return event_logger

    def _on_change(self, change: RunChange) -> None:
        self._activity.record()
        emit_run_event(self._event_logger, change)

    async def _snapshot(self) -> Snapshot | None:
        services = self.service_manager.opened
        return None if services is None else await services.snapshot()

    def _is_busy(self) -> bool:
        services = self.service_manager.opened
        return services is not None and services.service.busy


# --- events ---


def register_event_schema(event_logger: EventLogger) -> None:
    """Register the schema of run events, unless it is registered already."""
    if SCHEMA_ID not in event_logger.schemas:
        event_logger.register_event_schema(SCHEMA)


def emit_run_event(event_logger: EventLogger, change: RunChange) -> None:
    """Emit an event about a run that has changed; call it on the event loop's thread."""
    event_logger.emit(schema_id=SCHEMA_ID, data=to_builtins(run_event(change)))


def run_event(change: RunChange) -> models.RunChange:
    """Return an event about a run that has changed. It has no data and no links of the run."""
    deadline = change.deadline
    return models.RunChange(
        run_id=change.run_id,
        workflow_id=change.workflow_id,
        workflow_name=change.workflow_name,
        status=change.status,
        step=change.step,
        pause_kind=change.pause_kind,
        deadline=timestamp(deadline) if deadline else None,
        updated_at=timestamp(change.updated_at),
    )


# --- activity ---


class ActivityReporter:
    """Reports activity to Jupyter while a run is queued or running, so that no culler stops it.

    Parameters
    ----------
    settings : dict
        The settings of Jupyter's web application.
    busy : callable
        Returns whether a run is queued or running.
    """

    def __init__(self, settings: dict[str, Any], busy: Callable[[], bool]) -> None:
        self._settings = settings
        self._busy = busy
        self._timer = PeriodicCallback(self._update, ACTIVITY_MS)

    def start(self) -> None:
        """Start reporting."""
        self._timer.start()

    def stop(self) -> None:
        """Stop reporting."""
        self._timer.stop()

    def record(self) -> None:
        """Store the current time as the time of the last activity."""
        self._settings[ACTIVITY_SETTING] = datetime.now(UTC)

    def _update(self) -> None:
        if self._busy():
            self.record()


# --- logging ---


class LogForwarding(logging.Handler):
    """Forwards the log records of this package to the log of the extension, until it is closed.

    Parameters
    ----------
    log : logging.Logger
        The log of the extension.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        super().__init__()
        self._log = log if isinstance(log, logging.Logger) else log.logger
        package_logger = logging.getLogger("jupyter_pdflow")
        package_logger.setLevel(self._log.getEffectiveLevel())
        package_logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Forward a record."""
        self._log.handle(record)

    def close(self) -> None:
        """Stop forwarding."""
        logging.getLogger("jupyter_pdflow").removeHandler(self)
        super().close()
