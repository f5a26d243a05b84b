"""The Jupyter server extension: private API, public links, events."""
