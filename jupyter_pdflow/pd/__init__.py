"""What a step's ``handler(pd)`` is given, and what comes of calling it."""
