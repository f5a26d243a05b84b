"""Benchmarks of speed and cost; see README.md and ``python -m benchmarks --help``."""
