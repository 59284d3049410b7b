"""The OpenAPI document: valid, and true of what is served."""

import itertools
import json
from pathlib import Path

import pytest
from openapi_spec_validator import validate

import graphs
from planes import Plane, opened, shadow, split
from served_models import scaled, typed

PIPELINES = {
    "columns": (
        {"m": graphs.scaled(2, width=3)},
        None,
        {
            "m": {
                "inputs": [
                    {
                        "name": "f",
                        "from": "x",
                        "type": "float32",
                        "shape": [3],
                        "columns": ["a", "b", "c"],
                    }
                ]
            }
        },
    ),
    "types": ({"m": typed()}, None, None),
    "split": ({"a": scaled(1), "b": scaled(2)}, [split("a", "b", field="user")], None),
    "shadow": (
        {"a": scaled(1), "b": scaled(2)},
        [shadow("a", "b", outputs="respond", budget="5s")],
        None,
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_it_is_valid_and_names_every_path_that_is_served(tmp_path: Path, name: str) -> None:
    models, steps, entries = PIPELINES[name]
    with opened(tmp_path, models, steps, entries=entries) as plane:
        document = plane.send("/openapi.json", method="GET").json
        validate(document)
        assert document["openapi"].startswith("3.1")
        for path, item in document["paths"].items():
            for method in item:
                answer = plane.send(path, b"[]", method=method.upper())
                assert answer.status not in (404, 405), path
        named = [
            operation["operationId"]
            for item in document["paths"].values()
            for operation in item.values()
        ]
        assert len(set(named)) == len(named)
        assert served(plane) - {"/openapi.json"} == document["paths"].keys()


def served(plane: Plane) -> set[str]:
    routes = plane.app._routes
    return set(itertools.chain(routes.infer, routes.pages))


def test_rows_say_their_types_and_keys(tmp_path: Path) -> None:
    models, steps, entries = PIPELINES["split"]
    with opened(tmp_path, models, steps, entries=entries) as plane:
        document = plane.send("/openapi.json", method="GET").json
        infer = document["paths"]["/pipelines/tested"]["post"]
        row = infer["requestBody"]["content"]["application/json"]["schema"]["items"]
        assert row["required"] == ["x"]
        assert row["properties"]["user"] == {"type": ["string", "number"]}
        assert json.dumps(row["properties"]["x"]).count("number") == 2, "plain, or a list of one"
