"""The public links of pauses."""
