"""`python -I FOLDER TASK`: load a Python model and answer its calls until nobody asks any more."""

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "tiltyard_worker"
"""The name that this folder goes by here, so that nothing beside it can be imported."""


def _known_as(name: str, folder: Path) -> None:
    """Make a folder importable under a name, and what stands beside it not."""
    where = [str(folder)]
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=where
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is no package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    sys.path[:] = [path for path in sys.path if path not in where]


if __name__ == "__main__":
    _known_as(PACKAGE, Path(__file__).parent)
    importlib.import_module(f"{PACKAGE}.serve").main(sys.argv[1])
