"""The page `/openapi.json`: what every face says of its paths, put together."""

import json
from functools import cache
from importlib.metadata import version

from tiltyard_engine.faces.base import Routes, Site
from tiltyard_engine.http.message import Response
from tiltyard_engine.openapi.schemas import Schema
from tiltyard_engine.problem import JSON


def mount(routes: Routes, site: Site) -> None:
    """Serve the document; it is put together when it is first asked for."""

    @cache
    def text() -> bytes:
        paths: dict[str, Schema] = {}
        for operations in routes.operations:
            paths |= operations()
        about = {
            "title": f"Tiltyard: {site.names}",
            "version": version("tiltyard"),
            "description": "Models that are tried against each other.",
        }
        return json.dumps({"openapi": "3.1.0", "info": about, "paths": paths}).encode()

    routes.pages["/openapi.json"] = lambda: Response(200, text(), JSON)
