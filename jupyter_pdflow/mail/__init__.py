"""Emails of steps: the outbox that stores and delivers them, their message format, and SMTP."""
