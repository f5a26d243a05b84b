"""What a run is and how it moves: pure functions, no I/O and no clock."""
