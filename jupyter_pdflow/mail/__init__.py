"""Emails: what is common to those who ask for them and those who send them."""
