"""The protocols of the data port. A new one is a file of its own and its line here."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tiltyard_engine.faces.base import Face, Page
from tiltyard_engine.faces.pipelines import PipelinesFace, listings
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.sizes import Sizes


@dataclass(slots=True)
class Routes:
    """Which path leads where."""

    infer: dict[str, tuple[Face, ServedPipeline]] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)

    def add(self, face: Face, pipeline: ServedPipeline) -> None:
        """Serve a Pipeline through a face."""
        self.infer.update(dict.fromkeys(face.paths, (face, pipeline)))


def open_faces(pipelines: Sequence[ServedPipeline], partition: str, sizes: Sizes) -> Routes:
    """Every face of every Pipeline."""
    routes = Routes(pages=listings([one.plan for one in pipelines]))
    alone = len(pipelines) == 1
    for one in pipelines:
        name = one.plan.pipeline
        paths = [f"/pipelines/{name}", *(["/infer"] if alone else [])]
        routes.add(PipelinesFace(one.plan, paths, partition, sizes), one)
    return routes
