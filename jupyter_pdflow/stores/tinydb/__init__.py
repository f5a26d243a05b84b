"""The store on TinyDB: each run, workflow and email is one TinyDB file."""
