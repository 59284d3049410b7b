"""The chart's README: its values with their defaults, as the comments in values.yaml tell them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_HEAD = """\
<!-- Generated from values.yaml by `make generate`. Do not edit. -->
# tiltyard

The operator of Tiltyard, its CustomResourceDefinitions, its rights, and what monitoring needs.
[docs/install.md](../../docs/install.md) installs it step by step, upgrades it and removes it.

```sh
helm install tiltyard charts/tiltyard --namespace tiltyard --create-namespace
```

## Values

Unknown values are refused.

| value | default | what it does |
|---|---|---|
"""


def readme(values: Path) -> bytes:
    """Write the README."""
    text = values.read_text()
    rows = (
        f"| `{path}` | `{default}` | {comment} |\n"
        for path, default, comment in described(yaml.compose(text), text.splitlines())
    )
    return (_HEAD + "".join(rows)).encode()


def described(node: Any, lines: list[str], path: str = "") -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - yaml has no types
    """Give path, default and comment of every value that has a comment, and insist on one."""
    for key, value in node.value:
        here = f"{path}.{key.value}".removeprefix(".")
        comment = _above(lines, key.start_mark.line)
        if comment:
            default = yaml.safe_load(yaml.serialize(value))
            yield here, json.dumps(default), comment
        elif isinstance(value, yaml.MappingNode):
            yield from described(value, lines, here)
        else:
            raise SystemExit(f"values.yaml: say in a comment above it what {here} does")


def _above(lines: list[str], number: int) -> str:
    """Comment that ends above a line."""
    found: list[str] = []
    while number > 0 and lines[number - 1].lstrip().startswith("#"):
        number -= 1
        found.insert(0, lines[number].lstrip(" #"))
    return " ".join(found)
