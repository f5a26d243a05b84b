"""`pd`, as a handler sees it."""
