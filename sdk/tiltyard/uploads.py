"""From a file of any framework to the spec of a Model whose bytes are in a store."""

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tiltyard.failure import Failure
from tiltyard.framework import RUN_AS_THEY_ARE, Framework
from tiltyard.places import Tell
from tiltyard.stores import Store, digest_of

SHORT = 16
"""Characters of the digest in the path of a model: versions lie beside each other."""

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Upload:
    """What a user wants to upload."""

    name: str
    path: Path
    framework: Framework | str | None
    wished: Spec
    """How it is run, where that is said: fields of a Model."""


def model_spec(upload: Upload, workspace: str, store: Store, tell: Tell) -> Spec:
    """Keep a model in a store, converted where it must be; the spec of its Model.

    Raises:
        Failure: it is not there, cannot be converted, or cannot be kept.

    """
    if not upload.path.exists():
        raise Failure(f"{upload.path}: there is no such file or folder")
    framework = _framework(upload)
    wished = {key: value for key, value in upload.wished.items() if value is not None}
    if framework in RUN_AS_THEY_ARE:
        return {
            "framework": framework.value,
            "source": _kept(upload.path, upload, workspace, store),
        } | wished
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder, f"{upload.name}.onnx")
        entry = _converted(upload.path, converted, framework, tell)
        entry["source"] = _kept(converted, upload, workspace, store)
    return {key: value for key, value in entry.items() if key != "name"} | wished


def _kept(file: Path, upload: Upload, workspace: str, store: Store) -> Spec:
    digest = digest_of(file)
    key = f"{workspace}/{upload.name}/{digest[:SHORT]}/{file.name}"
    source = {"uri": store.put(file, key), "sha256": digest}
    return source | ({"secretName": store.secret} if store.secret else {})


def _framework(upload: Upload) -> Framework:
    if upload.framework is not None:
        try:
            return Framework(upload.framework)
        except ValueError:
            known = ", ".join(Framework)
            raise Failure(f"there is no framework {upload.framework!r}: use {known}") from None
    if upload.path.suffix == ".onnx":
        return Framework.ONNX
    if upload.path.suffix == ".py" or _has_function(upload.path):
        return Framework.PYTHON
    from tiltyard.convert.detect import detect  # noqa: PLC0415 - for what is converted

    return Framework(detect(upload.path))


def _has_function(path: Path) -> bool:
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as packed:
        return "model.py" in packed.namelist()


def _converted(model: Path, to: Path, framework: Framework, tell: Tell) -> Spec:
    """Have `tiltyard convert` do it: what it prints is the entry of a manifest."""
    tell(f"{model}: converting it from {framework} into ONNX")
    command = [sys.executable, "-P", "-m", "tiltyard", "convert", str(model)]
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "--to", str(to), "--framework", framework.value],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise Failure(f"{model} cannot be converted: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        if line.startswith("#"):
            tell(line.removeprefix("#").strip())
    (entry,) = yaml.safe_load(done.stdout)["models"]
    return dict(entry)
