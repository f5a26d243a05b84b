"""The widgets of notebooks."""
