"""Programs that some tests need."""

import os
import shutil

import pytest


def need(tool: str) -> str:
    """Give the path of a program; without it, skip, but fail where CI promises to have it."""
    path = shutil.which(tool)
    if path is None:
        message = f"{tool} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
