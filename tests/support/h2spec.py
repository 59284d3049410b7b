"""h2spec, which judges servers of HTTP/2: of the module that `tools/h2spec` pins."""

from pathlib import Path

from gobuilt import go_built


def h2spec() -> Path:
    """Give the program."""
    return go_built("h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
