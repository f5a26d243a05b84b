"""The argument ``pd`` of a step's handler, and the call of a handler."""
