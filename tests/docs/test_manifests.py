"""Manifests in the documents are valid. A block marked `fragment` holds models or steps alone."""

from typing import Any

import pytest
import yaml

from documents import PAGES, Block, all_blocks, blocks
from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_core.cel.check import checked

KNOWN = {"", "yaml", "sh", "console", "python", "javascript", "promql"}
PLACEHOLDER = {"framework": "onnx", "source": {"uri": "file:a.onnx"}}


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_manifests_are_valid(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        if document.get("kind") == "Model":
            read_model(document)
        else:
            checked(read_pipeline(completed(document) if "fragment" in block.flags else document))


def completed(fragment: dict[str, Any]) -> dict[str, Any]:
    """Make a Pipeline of some of its parts: the models that steps name, or a step for models."""
    steps = fragment.get("steps", [])
    names = sorted(set(mentioned(steps))) or ["any"]
    models = fragment.get("models", [{"name": name, **PLACEHOLDER} for name in names])
    known = {"models", "steps", "deployment", "experiment", "records", "validations"}
    assert set(fragment) <= known
    return {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "fragment"},
        "spec": {
            **fragment,
            "models": models,
            "steps": steps or [{"name": "all", "model": models[0]["name"]}],
        },
    }


def mentioned(part: Any) -> list[str]:
    """Names of models in steps."""
    if isinstance(part, list):
        return [name for one in part for name in mentioned(one)]
    if not isinstance(part, dict):
        return []
    mine = [part[key] for key in ("model", "champion", "stable", "candidate") if key in part]
    mine += part.get("rankers", [])
    return mine + [name for one in part.values() for name in mentioned(one)]


def test_every_block_is_of_a_language_that_is_tested() -> None:
    found = {block.language: str(block) for page in PAGES for block in blocks(page)}
    assert {place for language, place in found.items() if language not in KNOWN} == set()


ENGINES = ("localhost:", "Client.local")
"""Programs that ask engines: `test_clients` serves one, `test_migration` has a folder for them."""

OFFLINE = [
    block for block in all_blocks("python") if not any(word in block.text for word in ENGINES)
]


@pytest.mark.parametrize("block", OFFLINE, ids=str)
def test_python_programs_run(block: Block) -> None:
    exec(compile(block.text, str(block), "exec"), {"__name__": "document"})  # noqa: S102 - our own document
