"""The example notebooks, run in production."""

from __future__ import annotations
