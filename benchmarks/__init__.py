"""Measures of speed and cost; ``python -m benchmarks --help`` lists them, README.md explains them."""
