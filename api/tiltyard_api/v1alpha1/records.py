"""Records: which inferences are written down, where, and what of them is left out."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tiltyard_api.base import Contract, cel
from tiltyard_api.quantities import Duration, Quantity
from tiltyard_api.v1alpha1.models import SECRET_PATTERN

SINK_PATTERN = r"^(stdout:|file:///.+|(s3|gs|az)://[^/]+(/.*)?)$"
COLUMN_PATTERN = r"^(in|out)\..+$"

Column = Annotated[str, StringConstraints(pattern=COLUMN_PATTERN, max_length=68)]
"""`in.NAME` or `out.NAME`, as records spell it."""

SECRET_UNUSED = "only an object store is written with a Secret: remove secretName"  # noqa: S105 - words


class Sink(Contract):
    """Where records go."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.secretName) || !(self.uri == 'stdout:' || self.uri.startsWith('file:'))",
                SECRET_UNUSED,
                ".secretName",
            ),
        )
    )

    uri: str = Field(pattern=SINK_PATTERN, max_length=2048)
    """`stdout:`, `file:///FOLDER`, `s3://BUCKET/PREFIX`, `gs://` or `az://`."""

    secret_name: str | None = Field(default=None, pattern=SECRET_PATTERN, max_length=253)
    """Secret of the namespace that holds what the store is written with."""

    keep_size: Quantity = "1Gi"
    """Most bytes of files in a folder; the oldest go."""

    keep_for: Duration = "720h"
    """How long files in a folder stay."""


class Records(Contract):
    """What is written down of inferences."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.exclude) || !has(self.hash) || self.hash.all(c, !(c in self.exclude))",
                "a column is either left out or hashed: name it in one of exclude and hash",
                ".hash",
            ),
        )
    )

    sink: Sink
    """Where they go."""

    sample: float = Field(default=1, ge=0, le=1)
    """Share of the requests that are recorded."""

    inputs: bool = True
    """False leaves all inputs out."""

    exclude: tuple[Column, ...] | None = Field(default=None, max_length=64)
    """Columns that are left out: `in.NAME`, `out.NAME`."""

    hash: tuple[Column, ...] | None = Field(default=None, max_length=64)
    """Columns of which a keyed digest stands in place of the value."""
