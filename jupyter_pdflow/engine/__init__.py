"""The engine: applies the rules to runs, stores them, and performs the effects."""
