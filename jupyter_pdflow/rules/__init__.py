"""The rules of runs: their records and how events change them, as pure functions without I/O."""
