"""Writes the generated files of the project, or checks that they are fresh.

usage: python tools/generate.py [--check]
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from grpc_tools import protoc

from chart.dashboard import dashboard
from chart.model import model
from chart.readme import readme
from chart.rendered import rendered
from chart.schema import schema
from tiltyard_api.crd import RESOURCES, crd

ROOT = Path(__file__).resolve().parent.parent
GRPC = "runtime-image/tiltyard_engine/grpc"
CHART = "charts/tiltyard"
WHOLE = ("crds", f"{CHART}/files/crds", f"{GRPC}/descriptors")
"""Folders that hold nothing but generated files."""

HEADER = "# Generated from api/tiltyard_api by `make generate`. Do not edit.\n"


def main() -> int:
    """Write, or with --check compare; stale, missing and unknown files are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail where stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder")
    options = parser.parse_args()
    files = generated()
    if options.check:
        faults = differences(options.root, files | rendered(ROOT))
        for fault in faults:
            print(fault, file=sys.stderr)
        return 1 if faults else 0
    write(options.root, files)
    write(options.root, rendered(ROOT))  # of files that were just written
    return 0


def write(root: Path, files: dict[str, bytes]) -> None:
    """Write files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def generated() -> dict[str, bytes]:
    """Content of every file that is generated from code, by its path in the project."""
    definitions = {
        f"{one['metadata']['name']}.yaml": (HEADER + _yaml(one)).encode()
        for one in map(crd, RESOURCES)
    }
    return {
        **{f"crds/{name}": content for name, content in definitions.items()},
        **{f"{CHART}/files/crds/{name}": content for name, content in definitions.items()},
        f"{CHART}/files/dashboard.json": dashboard(),
        f"{CHART}/files/double.onnx": model(),
        f"{CHART}/README.md": readme(ROOT / CHART / "values.yaml"),
        f"{CHART}/values.schema.json": schema(ROOT / CHART / "values.schema.json"),
        f"{GRPC}/descriptors/services.binpb": _descriptors(),
    }


def _descriptors() -> bytes:
    """Descriptor set of the engine's .proto files."""
    folder = ROOT / GRPC / "protos"
    protos = sorted(path.name for path in folder.glob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        arguments = ["protoc", f"--proto_path={folder}", f"--descriptor_set_out={out.name}"]
        if protoc.main([*arguments, *protos]) != 0:
            raise SystemExit("protoc refused the .proto files")
        return Path(out.name).read_bytes()


def differences(root: Path, files: dict[str, bytes]) -> list[str]:
    """What is not as it would be generated, or stands where all is generated."""
    there = {
        path.relative_to(root).as_posix()
        for folder in WHOLE
        for path in (root / folder).rglob("*")
        if path.is_file()
    }
    unknown = [f"{name}: not a generated file; remove it" for name in sorted(there - set(files))]
    stale = [
        f"{name}: stale or missing; run `make generate`"
        for name, content in files.items()
        if not (root / name).is_file() or (root / name).read_bytes() != content
    ]
    return stale + unknown


class _Dumper(yaml.SafeDumper):
    """Plain YAML: nothing is written as an alias of what stands elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as the base says
        return True


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(
        document,
        Dumper=_Dumper,
        default_flow_style=None,  # what holds plain values takes one line
        width=120,
        sort_keys=False,
        allow_unicode=True,
    )


if __name__ == "__main__":
    sys.exit(main())
