"""What can be done to a data directory while no server works on it: check, mend, export, import.

This is a room of its own because it knows all that lies in a data directory, mails and link keys
included, where ``store`` knows runs and workflows only; and no server ever needs it.
"""
