"""Kernels of production runs: `worker` is what runs in them, the rest is outside."""
