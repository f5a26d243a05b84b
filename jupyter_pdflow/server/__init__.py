"""The Jupyter server extension: the private API, the public links, events and configuration."""
