"""Executing a step: the worker inside the kernel, the pool outside."""
