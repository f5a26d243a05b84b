"""The public links that resume or cancel a pause."""
