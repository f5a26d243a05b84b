"""Notebooks: reading one as a workflow, the magics, test mode and production mode."""
