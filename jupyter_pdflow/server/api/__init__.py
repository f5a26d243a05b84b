"""The private API, for the user of the server."""
