"""The private REST API, for users of the Jupyter server."""
