"""What runs in the process of a Python model: the standard library and numpy, nothing of ours.

The model's own environment may hold any versions of anything; so this package is loaded by its
folder, and imports nothing from outside it.
"""
