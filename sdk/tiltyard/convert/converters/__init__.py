"""Programs that convert: run by an interpreter that has the framework, never by ours.

They import nothing of the project but each other, since nothing else of it is installed there.
"""
