"""Checkouts of this project, whose servers are measured in turns."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks.figures import Role

ROOT = Path(__file__).parents[1]


class Checkout(NamedTuple):
    """A checkout whose package and benchmarks can be imported; its dependencies are installed.

    Attributes
    ----------
    path : Path
        The root of the checkout.
    name : str
        What figures call it; empty for the checkout that these benchmarks are in.
    """

    path: Path = ROOT
    name: str = ""

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return another checkout, named after its commit.

        Raises
        ------
        ValueError
            There is no checkout of this project at the path.
        """
        if not (path / "jupyter_pdflow" / "__init__.py").is_file():
            msg = f"{path} is no checkout of jupyter_pdflow."
            raise ValueError(msg)
        return cls(path.resolve(), _commit(path) or path.resolve().name)

    @property
    def role(self) -> Role:
        """The role of its figures: those of other checkouts are baselines."""
        return "baseline" if self.name else "figure"

    @property
    def env(self) -> dict[str, str]:
        """The environment variables by which Python imports this checkout."""
        return {"PYTHONPATH": str(self.path)}

    def label(self, figure: str) -> str:
        """Return the name of a figure of this checkout."""
        return f"{figure}, {self.name}" if self.name else figure


THIS = Checkout()


def _commit(path: Path) -> str:
    command = ["git", "-C", str(path), "rev-parse", "--short=7", "HEAD"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True
    )
    return done.stdout.strip()
