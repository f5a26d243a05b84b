"""The store of runs, workflows and outputs: its protocol, and its implementations."""
