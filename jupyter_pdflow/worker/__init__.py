"""Processes without JupyterLab: ``jupyter pdflow worker`` and ``jupyter pdflow serve``."""
