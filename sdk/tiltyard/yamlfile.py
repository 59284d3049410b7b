"""Reads YAML strictly: what the usual loader lets pass in silence is a fault with its line."""

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

MAX_NODES = 200_000
"""Values of one document with its aliases followed: a few lines can mean billions."""

ONE_LETTER = {"y": "true", "Y": "true", "n": "false", "N": "false"}
"""What kubectl takes for something else than the letter that stands there."""


class YamlFault(ValueError):  # noqa: N818 - a fault of a file, in the words of the contract
    """A file that is not YAML, or is ambiguous; `where` is its line and column."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where
        self.message = message


def read_documents(text: bytes) -> Iterator[object]:
    """Every document of a YAML file that is not empty.

    Raises:
        YamlFault: at the first place that cannot be read.

    """
    try:
        for document in yaml.load_all(text, _StrictLoader):
            if document is not None:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlFault(_where(mark), f"{error.problem}: mend the YAML") from error
    except yaml.YAMLError as error:
        message = str(error).splitlines()[0]
        raise YamlFault("(file)", f"is not YAML: {message}: save it as plain UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise YamlFault("(file)", f"cannot be read as YAML: {error}: mend the value") from error


class _StrictLoader(yaml.SafeLoader):
    """Refuses keys that stand twice, what kubectl reads otherwise, and documents that explode."""

    def construct_document(self, node: yaml.Node) -> Any:  # noqa: ANN401 - as in the base class
        _size(node, {})
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - as in the base class
        seen: dict[object, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(key, "a key is a plain text")
            if key.value in seen:
                first = seen[key.value]
                raise _fault(key, f"key {key.value!r} stands here twice (first in line {first})")
            seen[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values below a node with its aliases followed, each counted once a mention."""
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and node.value in ONE_LETTER:
            meant = ONE_LETTER[node.value]
            raise _fault(node, f"a plain {node.value} is {meant} to kubectl: put it in quotes")
        return 1
    identity = id(node)
    if identity not in known:
        known[identity] = 0  # being counted: to meet it again is a circle
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in parts for part in pair]
        known[identity] = 1 + sum(_size(part, known) for part in parts)
    if known[identity] == 0:
        raise _fault(node, "a value that holds itself")
    if known[identity] > MAX_NODES:
        raise _fault(node, f"more than {MAX_NODES} values")
    return known[identity]


def _fault(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _where(mark: yaml.Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(file)"
