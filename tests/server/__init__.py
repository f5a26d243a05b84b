"""Tests of the Jupyter server extension."""

from __future__ import annotations
