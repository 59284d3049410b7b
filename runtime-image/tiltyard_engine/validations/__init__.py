"""Validations: what is said of rows that look wrong. They never keep an answer back.

Simple ones run here, on all rows at once. All others run in a process beside the worker, which may
take a second, 256 MB or a crash without harm to anybody.
"""
