"""Stores the results of measures in one JSON file, with the machine and the versions."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import msgspec
import psutil
from msgspec import Struct

from benchmarks.figures import Figure

DEFAULT = Path(__file__).parent / "results" / "figures.json"
PACKAGES = ("jupyter_pdflow", "jupyter_server", "jupyter_client", "ipykernel", "tornado", "tinydb")


class Result(Struct, frozen=True):
    """The figures of one measure, with the time, the machine and the versions."""

    measured_at: datetime
    quick: bool
    machine: dict[str, str]
    versions: dict[str, str]
    figures: list[Figure]


def key_of(name: str, other: str = "") -> str:
    """Return the key of the result of a measure, which may be against another checkout."""
    return f"{name} --against {other}" if other else name


def result_of(figures: list[Figure], *, quick: bool) -> Result:
    """Return the result of figures that were measured just now."""
    rounded = [
        msgspec.structs.replace(f, samples=[round(s, 4) for s in f.samples]) for f in figures
    ]
    now = datetime.now(UTC).replace(microsecond=0)
    return Result(now, quick, _machine(), _versions(), rounded)


def load(path: Path) -> dict[str, Result]:
    """Return results by their keys; none if the file does not exist."""
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Result])


def save(path: Path, results: dict[str, Result]) -> None:
    """Write results to a file, and keep those of other measures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    merged = {**load(path), **results}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(merged), indent=1) + b"\n")


def _machine() -> dict[str, str]:
    memory: int = psutil.virtual_memory().total  # type: ignore[no-untyped-call]
    return {
        "cpu": f"{os.cpu_count()} × {_cpu_model()}",
        "memory": f"{memory / 2**30:.0f} GB",
        "disk": _file_system(Path(gettempdir()).resolve()),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())


def _file_system(folder: Path) -> str:
    partitions: list[Any] = psutil.disk_partitions(all=True)  # type: ignore[no-untyped-call]
    mounts: dict[str, str] = {part.mountpoint: part.fstype for part in partitions}
    return next((mounts[str(p)] for p in (folder, *folder.parents) if str(p) in mounts), "unknown")


def _versions() -> dict[str, str]:
    found = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
