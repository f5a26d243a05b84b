"""From a notebook to a workflow: parsing, magics and test mode."""
