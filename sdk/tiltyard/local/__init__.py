"""Pipelines on this machine: what `tiltyard serve` does without a cluster.

    files -> manifests -> resolve (a child) -> compile -> plan and routing files -> engine (a child)

The engine is the program that a pod runs. The command line owns the listening sockets, so that a
restart of the engine never closes them.
"""
