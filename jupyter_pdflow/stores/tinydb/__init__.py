"""The store on TinyDB: one file per run."""
