"""Settings of the server, limits that are not configurable, and names of environment variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DATA_DIR_VARIABLE = "JUPYTER_PDFLOW_DATA_DIR"
"""The server's data directory, in its kernels; set by the server."""

DATABASE_URL_VARIABLE = "JUPYTER_PDFLOW_DATABASE_URL"
"""The default of ``PDFlow.database_url``; set by the user."""

HUB_TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"  # noqa: S105  the variable's name
"""A token for the servers of this JupyterHub user; set by JupyterHub."""

HUB_URL_VARIABLE = "JUPYTERHUB_PUBLIC_URL"
"""The public URL of a single-user server; set by JupyterHub."""

NOTEBOOK_VARIABLE = "JPY_SESSION_NAME"
"""The path of a kernel's notebook; set by Jupyter server."""

SERVER_PID_VARIABLE = "JPY_PARENT_PID"
"""The process id of the server that has started a kernel; set by jupyter_client."""

TOKEN_VARIABLE = "JUPYTER_PDFLOW_TOKEN"  # noqa: S105  the variable's name
"""The token of the server at `URL_VARIABLE`; set by the user."""

URL_VARIABLE = "JUPYTER_PDFLOW_URL"
"""The URL of the server to use; by default one is found. Set by the user."""

WORKER_VARIABLE = "JUPYTER_PDFLOW_WORKER"
"""Set to 1 in production kernels, by the worker in them."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits and intervals that are not configurable, all in seconds, bytes or numbers.

    Tests pass other values; the server uses `LIMITS`.

    Attributes
    ----------
    storage_retry_seconds : float
        Time from a failed write to the next attempt.
    clock_check_seconds : float
        Interval in which timers read the wall clock again, in case it was set.
    email_retry_seconds : float
        Time from the first attempt to deliver an email to the second; doubled for each later one.
    emails_listed : int
        Maximum number of emails in a list.
    emails_listed_bytes : int
        Size of the texts after which a list of emails ends.
    pruning_seconds : float
        Interval in which finished runs are removed that are older than ``keep_days``.
    pruned_at_once : int
        Maximum number of runs that are removed before other work may use the storage.
    kernel_turn_seconds : float
        Time that a kernel serves runs of its version while runs of other versions wait. Starting
        a kernel takes as long as hundreds of short steps, so a change after each run is too slow.
    prestart_seconds : float
        Time from taking a prestarted kernel to starting its replacement. Starting one at once would
        slow down the run that took it.
    reply_bytes : int
        Maximum size of a kernel's reply. The limits of exports and emails keep a reply below it.
    """

    storage_retry_seconds: float = 2.0
    clock_check_seconds: float = 1.0
    email_retry_seconds: float = 5.0
    emails_listed: int = 500
    emails_listed_bytes: int = 4_000_000
    pruning_seconds: float = 3600.0
    pruned_at_once: int = 100
    kernel_turn_seconds: float = 2.0
    prestart_seconds: float = 1.0
    reply_bytes: int = 64_000_000


LIMITS = Limits()
"""The limits of the server."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The validated traits of `jupyter_pdflow.server.app.PDFlow`, which describes them.

    The traits of links are in `jupyter_pdflow.server.links.handler.LinkOptions`, because links also
    answer if these settings are invalid.

    Attributes
    ----------
    data_dir, files_dir : Path
        Absolute paths.
    database_url : str
        The database that processes share; empty for the data directory.
    queues : list of str
        The queues whose runs this process executes.
    worker_name : str
        Empty if it is not configured.
    public_url : str
        Empty if it is not configured.
    smtp_url : str
        Empty if emails are kept as files and not delivered.
    people : dict of str to str
        The address of each user name.
    groups : dict of str to list of str
        The members of each group.
    configured : frozenset of str
        The names of the traits that are set, be it to their defaults.
    keep_days : float or None
        Days from the end of a run to its removal; None keeps finished runs.
    """

    data_dir: Path
    files_dir: Path
    database_url: str
    queues: list[str]
    worker_name: str
    public_url: str
    max_kernels: int
    idle_kernel_seconds: float
    spare_kernels: int
    max_crashes: int
    smtp_url: str
    mail_from: str
    mail_to: list[str]
    keep_days: float | None
    people: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    configured: frozenset[str] = frozenset()
    limits: Limits = field(default=LIMITS)
