"""Settings: what the owner has configured, the limits behind it, and environment variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DATA_DIR_VARIABLE = "JUPYTER_PDFLOW_DATA_DIR"
"""The data directory of the server that has started a kernel; set by the server."""

HUB_TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"  # noqa: S105  the variable's name
"""JupyterHub's token, which its servers take too; set by JupyterHub."""

HUB_URL_VARIABLE = "JUPYTERHUB_PUBLIC_URL"
"""The public address of a server of JupyterHub; set by JupyterHub."""

NOTEBOOK_VARIABLE = "JPY_SESSION_NAME"
"""The notebook of a session's kernel; set by Jupyter."""

SERVER_PID_VARIABLE = "JPY_PARENT_PID"
"""The process of the server that has started a kernel; set by Jupyter."""

TOKEN_VARIABLE = "JUPYTER_PDFLOW_TOKEN"  # noqa: S105  the variable's name
"""The token of the server at `URL_VARIABLE`; set by the user."""

URL_VARIABLE = "JUPYTER_PDFLOW_URL"
"""The server to talk to, in place of the one that is found; set by the user."""

WORKER_VARIABLE = "JUPYTER_PDFLOW_WORKER"
"""Set in production kernels only."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits and waits that are no traits.

    Attributes
    ----------
    storage_retry_seconds : float
        Until something that could not be stored is tried again.
    clock_check_seconds : float
        After which the wall clock is read again, in case it was set.
    email_retry_seconds : float
        Until the second attempt to deliver an email; doubled for each later one.
    emails_listed : int
        Maximum number of emails in a list.
    emails_listed_bytes : int
        Number of bytes of text after which a list of emails ends.
    pruning_seconds : float
        Between two looks for finished runs that are to be removed.
    pruned_at_once : int
        Maximum number of runs that are removed before others may use the storage.
    kernel_turn_seconds : float
        How long a kernel serves the runs of its version while those of others wait. Starting a
        kernel takes as long as hundreds of short steps, so to change after each run would be fair
        and slow.
    prestart_seconds : float
        Until a prestarted kernel that was taken is replaced: the run that took it goes first.
    reply_bytes : int
        Maximum size of a kernel's reply; what a step may export and send by email takes less.
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the owner has configured, checked; see the traits of `jupyter_pdflow.server.app.PDFlow`.

    The traits of links are apart, in `jupyter_pdflow.server.links.handler.LinkOptions`: links answer
    also where these settings can't be used.

    Attributes
    ----------
    data_dir, files_dir : Path
        Absolute.
    public_url : str
        Empty if it is not configured.
    idle_kernel_seconds : float
    smtp_url : str
        Empty if emails are not delivered.
    keep_days : float or None
        None keeps finished runs.
    """

    data_dir: Path
    files_dir: Path
    public_url: str
    max_kernels: int
    idle_kernel_seconds: float
    spare_kernels: int
    max_crashes: int
    smtp_url: str
    mail_from: str
    mail_to: list[str]
    keep_days: float | None
    limits: Limits = field(default=LIMITS)
