"""Where runs, workflows and mails are kept."""
