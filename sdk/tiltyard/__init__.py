"""Tiltyard for people: the command line and, on it, the Python SDK."""
