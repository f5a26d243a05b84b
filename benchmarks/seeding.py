"""Fills data directories with any number of runs.

The files are copies, with their own ids, of those of a run that a checkout's own server has
stored, so that they have the format of any checkout. They are not synced one by one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from benchmarks.checkouts import THIS, Checkout
from benchmarks.files import take_out
from benchmarks.product import APPROVAL, Product, serving
from tests.servers import wait_until

TEXT = "x" * 1200
"""The part of an event by which the state of a run is 2 KB."""

NOTICE = (
    """%%step tell
def handler(pd):
    if pd.steps["trigger"]["event"]["email"]:
        pd.send.email(subject="A run has ended", text="x" * 500, to="owner@example.com")
""",
)
"""A workflow that sends an email if its event says so."""


class Sizes(NamedTuple):
    """How many finished runs there are.

    Attributes
    ----------
    runs, emails : int
        The number of runs that have just ended, and how many of them have sent an email.
    old : int
        The number of runs of each age, each of which has sent an email.
    ages : tuple of int
        Days since they ended.
    """

    runs: int
    emails: int
    old: int
    ages: tuple[int, ...]


class Finished(NamedTuple):
    """A data directory of finished runs.

    Attributes
    ----------
    workflow : str
        The workflow's id.
    old : list of list of str
        The ids of the runs of each age.
    """

    workflow: str
    old: list[list[str]]


def seed(folder: Path, count: int, checkout: Checkout = THIS) -> str:
    """Make `count` paused runs in the folder of a checkout's server; return the workflow's id."""
    with serving(folder, checkout=checkout) as product:
        workflow: str = product.server.deploy("approval", APPROVAL)["id"]
        run_id = product.start(workflow, {"text": TEXT})
        product.wait(run_id, "paused")
    template = take_out(product.server.data_dir, run_id)
    for _ in range(count):
        template.copy()
    os.sync()
    return workflow


def seed_finished(folder: Path, sizes: Sizes, checkout: Checkout = THIS) -> Finished:
    """Make finished runs in the folder of a checkout's server."""
    with serving(folder, checkout=checkout) as product:
        workflow: str = product.server.deploy("notice", NOTICE)["id"]
        ids = [_finished(product, workflow, sends_email=sends) for sends in (True, False)]
    with_email, without = (take_out(product.server.data_dir, run_id) for run_id in ids)
    aged = [[with_email.copy(days) for _ in range(sizes.old)] for days in sizes.ages]
    for number in range(sizes.runs):
        (with_email if number < sizes.emails else without).copy()
    os.sync()
    return Finished(workflow, aged)


def _finished(product: Product, workflow: str, *, sends_email: bool) -> str:
    """Have a run succeed; wait until its email is kept as a file."""
    run_id = product.start(workflow, {"text": TEXT, "email": sends_email})
    product.wait(run_id, "succeeded")
    if sends_email:
        wait_until(lambda: _is_kept(product, run_id), "the run's email is kept")
    return run_id


def _is_kept(product: Product, run_id: str) -> bool:
    emails = product.api("GET", "/mail")
    return any(one["run_id"] == run_id and one["status"] == "kept" for one in emails)
