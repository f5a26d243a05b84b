"""What a server will need to work on a data directory: keys, room, kernels, a way to send mail."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from jupyter_client.kernelspec import KernelSpecManager

from jupyter_pdflow.exceptions import KeyFileError, UndeliverableError
from jupyter_pdflow.mail.message import Email, envelope_of
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.maintenance.archive import free_bytes
from jupyter_pdflow.maintenance.datadir import KEYS, DataDir
from jupyter_pdflow.maintenance.files import INPUTS
from jupyter_pdflow.maintenance.findings import Finding, Inventory, aside
from jupyter_pdflow.maintenance.place import configured
from jupyter_pdflow.server.links.tokens import IMPORTED_KEYS, read_imported_keys, stored_keys
from jupyter_pdflow.server.public_url import ORIGIN_FILE, read_origin
from jupyter_pdflow.stores.tinydb.storage import read_file

ANYONE = "jupyter_pdflow@localhost"
LITTLE_ROOM = 100 * 10**6
"""Bytes that should be free."""


def keys(inventory: Inventory) -> Iterator[Finding]:
    """Look whether the links that are out still work."""
    path = inventory.data.path / KEYS
    if not path.exists():
        if {run.id for run in inventory.waiting} - _with_imported_keys(inventory.data):
            yield Finding(
                "The file of link keys is missing: no link of a run that has not ended works.",
                f"Put a copy of {KEYS} from a backup in its place. Buttons work without.",
            )
        return
    try:
        stored_keys(path)
    except KeyFileError:
        yield Finding(
            f"{path} can't be used, so that no server starts on it.",
            "Put a copy from a backup in its place, or put it right: one key per line. Deleting it "
            "makes all links that are out invalid.",
        )


def imported_keys(data: DataDir) -> Iterator[Finding]:
    """Look whether links that imported runs came with still work."""
    path = data.path / IMPORTED_KEYS
    try:
        read_imported_keys(path)
    except KeyFileError as error:
        yield Finding(
            f"{error} Links that imported runs came with don't work.",
            "Put a copy from a backup in its place; servers set it aside.",
            aside(path),
        )


def _with_imported_keys(data: DataDir) -> set[str]:
    """List the runs whose links are verified by a key that came with them."""
    try:
        return set().union(*read_imported_keys(data.path / IMPORTED_KEYS).values())
    except KeyFileError:
        return set()


def inputs(data: DataDir) -> Iterator[Finding]:
    """Look whether ``pd.inputs`` can be read."""
    path = data.path / INPUTS
    try:
        if path.exists():
            tomllib.loads(read_file(str(path)).decode())
    except (OSError, ValueError, RecursionError) as error:
        yield Finding(f"{path} can't be read: {error}.", "Put it right; steps that use it fail.")


def address(data: DataDir) -> Iterator[Finding]:
    """Look whether the address that links start with is remembered."""
    path = data.path / ORIGIN_FILE
    if path.exists() and read_origin(path) is None:
        yield Finding(
            f"{path} holds no address that links can start with.",
            "The next server learns it again from the first request that it answers.",
            grave=False,
        )


def room(data: DataDir) -> Iterator[Finding]:
    """Look whether there is room for what runs will write."""
    free = free_bytes(data.path)
    if free < LITTLE_ROOM:
        yield Finding(
            f"The disk of {data.path} has {free / 1e6:.0f} MB left.",
            "Make room: without any, no run goes on until there is some.",
        )


def kernels(inventory: Inventory) -> Iterator[Finding]:
    """Look whether the kernels are there that runs will need."""
    known = KernelSpecManager().find_kernel_specs()
    needed = {(known.id, known.newest) for known in inventory.workflows.values()}
    needed |= {(run.workflow_id, run.version) for run in inventory.waiting}
    for workflow_id, version in sorted(needed):
        versions = (
            inventory.workflows[workflow_id].versions if workflow_id in inventory.workflows else {}
        )
        kernel = versions[version].source.kernel_name if version in versions else None
        if kernel is not None and kernel not in known:
            yield Finding(
                f"Workflow {workflow_id!r}, version {version}, needs the kernelspec {kernel!r}, "
                "which is not there.",
                "Install it; or, if the server runs in another environment, do this check there.",
            )


def mail(inventory: Inventory) -> Iterator[Finding]:
    """Look whether mails can be sent, as far as the configuration files say."""
    smtp_url = configured().smtp_url
    try:
        if smtp_url:
            SMTPTransport.at(smtp_url)
    except ValueError as error:
        yield Finding(f"PDFlow is not configured right: {error}.", "Put smtp_url right.")
    queued = [email for email in inventory.emails if email.status == "queued"]
    errors = [email.error for email in queued if email.error]
    for email in queued:
        flaw = _flaw_of(email)
        if flaw is not None:
            yield Finding(
                f"Mail {email.id} can't be sent. {flaw}",
                "The next server says so in the list of mails, and tries no more.",
                grave=False,
            )
    if queued:
        yield Finding(
            f"Mails still to be delivered: {len(queued)}"
            + (f"; the latest error: {errors[-1]}" if errors else "."),
            "A server delivers them by PDFlow.smtp_url; where there is none, it keeps them as files.",
            grave=False,
        )


def _flaw_of(email: Email) -> UndeliverableError | None:
    try:
        envelope_of(email, ANYONE)
    except UndeliverableError as error:
        return error
    return None
