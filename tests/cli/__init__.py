"""The command jupyter pdflow, in real processes."""

from __future__ import annotations
