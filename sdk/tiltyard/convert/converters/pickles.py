"""Reads pickles: they may run anything, so it happens here, on the machine of who asked for it."""

import warnings
from pathlib import Path
from typing import Any

import joblib

from .base import Fault


def unpickled(path: Path) -> Any:  # noqa: ANN401 - whatever was pickled
    """Load a file of pickle or joblib.

    Raises:
        Fault: it needs what is not installed, or was written by another version.

    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = _load(path)
    for warning in caught:
        if type(warning.message).__name__ == "InconsistentVersionWarning":
            message: Any = warning.message
            raise Fault(
                f"{path} was pickled by scikit-learn {message.original_sklearn_version}, and"
                f" {message.current_sklearn_version} may read it wrongly: give --python with an"
                " interpreter that has the version it was made by"
            )
    return model


def _load(path: Path) -> Any:  # noqa: ANN401 - whatever was pickled
    try:
        return joblib.load(path)
    except ModuleNotFoundError as error:
        raise Fault(
            f"{path} needs the module {error.name!r}:"
            " give --python with an interpreter that has it and the converter"
        ) from error
    except Exception as error:  # unpickling runs code of the file: anything may come out
        raise Fault(f"{path} cannot be unpickled: {type(error).__name__}: {error}") from error
