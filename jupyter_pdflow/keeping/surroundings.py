"""What a server will need to work on a data directory: keys, room, kernels, a way to send mail."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from jupyter_client.kernelspec import KernelSpecManager

from jupyter_pdflow.engine.post import Post
from jupyter_pdflow.keeping.archive import free_bytes
from jupyter_pdflow.keeping.datadir import KEYS, DataDir
from jupyter_pdflow.keeping.files import INPUTS
from jupyter_pdflow.keeping.findings import Finding, Stock
from jupyter_pdflow.keeping.place import configured
from jupyter_pdflow.server.keys import is_key

LITTLE_ROOM = 100 * 10**6
"""Bytes that should be free."""


def keys(stock: Stock) -> Iterator[Finding]:
    """Look whether the links that are out still work."""
    path = stock.data.path / KEYS
    if not path.exists():
        if stock.waiting:
            yield Finding(
                "The file of link keys is missing: no link of a run that has not ended works.",
                f"Put a copy of {KEYS} from a backup in its place. Buttons work without.",
            )
        return
    try:
        found = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeError) as error:
        found = [f"{error} "]
    given = [key.strip("\r\t ") for key in found if key.strip()]
    if not given or not all(map(is_key, given)):
        yield Finding(
            f"{path} can't be used, so that no server starts on it.",
            "Put a copy from a backup in its place, or put it right: one key per line. Deleting it "
            "makes all links that are out invalid.",
        )


def inputs(data: DataDir) -> Iterator[Finding]:
    """Look whether ``pd.inputs`` can be read."""
    path = data.path / INPUTS
    try:
        if path.exists():
            tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        yield Finding(f"{path} can't be read: {error}.", "Put it right; steps that use it fail.")


def room(data: DataDir) -> Iterator[Finding]:
    """Look whether there is room for what runs will write."""
    free = free_bytes(data.path)
    if free < LITTLE_ROOM:
        yield Finding(
            f"The disk of {data.path} has {free / 1e6:.0f} MB left.",
            "Make room: without any, no run goes on until there is some.",
        )


def kernels(stock: Stock) -> Iterator[Finding]:
    """Look whether the kernels are there that runs will need."""
    known = KernelSpecManager().find_kernel_specs()
    needed = {(known.id, known.newest) for known in stock.workflows.values()}
    needed |= {(run.workflow_id, run.version) for run in stock.waiting}
    for workflow_id, version in sorted(needed):
        versions = stock.workflows[workflow_id].versions if workflow_id in stock.workflows else {}
        kernel = versions[version].source.kernel_name if version in versions else None
        if kernel is not None and kernel not in known:
            yield Finding(
                f"Workflow {workflow_id!r}, version {version}, needs the kernelspec {kernel!r}, "
                "which is not there.",
                "Install it; or, if the server runs in another environment, do this check there.",
            )


def mail(stock: Stock) -> Iterator[Finding]:
    """Look whether mails can be sent, as far as the configuration files say."""
    smtp_url = configured().smtp_url
    try:
        if smtp_url:
            Post.at(smtp_url)
    except ValueError as error:
        yield Finding(f"PDFlow is not configured right: {error}.", "Put smtp_url right.")
    queued = [letter for letter in stock.letters if letter.status == "queued"]
    errors = [letter.error for letter in queued if letter.error]
    if queued:
        yield Finding(
            f"Mails still to be delivered: {len(queued)}"
            + (f"; the latest error: {errors[-1]}" if errors else "."),
            "A server delivers them by PDFlow.smtp_url; where there is none, it keeps them as files.",
            grave=False,
        )
