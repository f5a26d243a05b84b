"""Kernels of production runs: `inside` is what runs in them, the rest starts and drives them."""
