"""The function that is timed: cheap, so that what is around it is seen."""

from typing import Any

import numpy as np


def process_data(input_data: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Give the first number of every row."""
    rows = input_data["x"]
    return {"y": rows.reshape(len(rows), -1)[:, :1]}
