"""The protocols of the data port. A new one is a file of its own and its line here."""

from collections.abc import Sequence

from tiltyard_engine.codecs.formats import FORMATS, Format
from tiltyard_engine.faces import feedback, openapi, pipelines, sagemaker, v2
from tiltyard_engine.faces.base import Routes, Site
from tiltyard_engine.feedback.taking import Takers
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.sizes import Sizes

MOUNTS = (
    pipelines.mount,
    v2.mount,
    sagemaker.mount,
    feedback.mount,
    openapi.mount,
)


def open_faces(
    served: Sequence[ServedPipeline],
    partition: str,
    sizes: Sizes,
    formats: Sequence[Format] = FORMATS,
    takers: Takers | None = None,
) -> Routes:
    """Every face of every Pipeline."""
    site, routes = Site(served, partition, sizes, formats, takers), Routes()
    for mount in MOUNTS:
        mount(routes, site)
    return routes
