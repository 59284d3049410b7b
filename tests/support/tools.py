"""Programs that some tests need."""

import os
import shutil

import pytest

PACKAGES = {"promtool": "prometheus"}
"""Debian's packages where they are not named like the program."""


def need(tool: str) -> str:
    """Give the path of a program; without it, skip, but fail where CI promises to have it."""
    path = shutil.which(tool)
    if path is None:
        package = PACKAGES.get(tool, tool)
        message = f"{tool} is not installed; on Debian it is in the package {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
