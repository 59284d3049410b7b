"""Recognises what wrote a model, by looking at its file: nothing of it is run."""

import bz2
import lzma
import pickletools
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tiltyard.convert.frameworks import Framework
from tiltyard.failure import Failure

HEAD = 65536
"""Bytes that are looked at."""

MAGIC = (
    (b"\x89HDF", b"", Framework.KERAS),
    (b"tree\n", b"", Framework.LIGHTGBM),
    (b"{", b"learner", Framework.XGBOOST),
)
"""First bytes of a file, and a word near its beginning."""

PICKLED = {
    "sklearn": Framework.SCIKIT_LEARN,
    "xgboost": Framework.XGBOOST,
    "lightgbm": Framework.LIGHTGBM,
}
"""Packages whose objects a pickle begins with."""

ALSO_PICKLED = {"numpy", "joblib", "builtins", "copyreg", "collections", "_codecs", "__builtin__"}
"""Packages that say nothing of what a pickle holds."""

UNPACK: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda head: zlib.decompressobj(wbits=31).decompress(head),
    b"x": lambda head: zlib.decompressobj().decompress(head),
    b"BZh": lambda head: bz2.BZ2Decompressor().decompress(head),
    b"\xfd7zXZ": lambda head: lzma.LZMADecompressor().decompress(head),
    b"]\x00": lambda head: lzma.LZMADecompressor().decompress(head),
}
"""How joblib compresses, by the first bytes."""

ASK = f"say which framework wrote it: --framework {' | '.join(Framework)}"


def detect(path: Path) -> Framework:
    """Recognise the framework of a model.

    Raises:
        Failure: it is none that is known, or it cannot be told.

    """
    if not path.exists():
        raise Failure(f"{path}: there is no such file or folder")
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            return Framework.TENSORFLOW
        raise Failure(f"{path}: a folder without saved_model.pb is no SavedModel: name the model")
    if path.suffix == ".onnx":
        raise Failure(f"{path} is ONNX already: serve it as it is")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}") from error
    found = _by_magic(path, head)
    if found is None:
        raise Failure(f"{path} is no model that can be recognised: {ASK}")
    return found


def pickled(path: Path) -> bool:
    """Whether reading it means running what it holds."""
    if not path.is_file() or zipfile.is_zipfile(path):
        return False
    with path.open("rb") as file:
        return _pickle(file.read(HEAD)) is not None


def _by_magic(path: Path, head: bytes) -> Framework | None:
    if zipfile.is_zipfile(path):
        return _by_members(path)
    for magic, word, framework in MAGIC:
        if head.startswith(magic) and word in head:
            return framework
    pickle = _pickle(head)
    if pickle is None:
        return None
    for package in _packages(pickle):
        if package in PICKLED:
            return PICKLED[package]
        if package not in ALSO_PICKLED:
            raise Failure(f"{path} is a pickle of {package}'s: {ASK}")
    return None


def _by_members(path: Path) -> Framework | None:
    """Recognise a zip by the names in it."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = [Path(name) for name in packed.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise Failure(f"{path} cannot be read as a zip: {error}: copy it anew") from error
    files = {name.name for name in names}
    if "saved_model.pb" in files:
        return Framework.TENSORFLOW
    if {"config.json", "model.weights.h5"} <= files:
        return Framework.KERAS
    if (
        "archive_format" in files and "model.json" in files
    ) or "serialized_exported_program.json" in files:
        return Framework.PYTORCH
    if "data.pkl" in files:
        raise Failure(
            f"{path} holds PyTorch weights or TorchScript, not a program:"
            " write it by torch.export.save(torch.export.export(model, example), 'model.pt2')"
        )
    return None


def _pickle(head: bytes) -> bytes | None:
    """First bytes of a pickle, decompressed; None where it is none."""
    for magic, unpack in UNPACK.items():
        if head.startswith(magic):
            with suppress(OSError, EOFError, zlib.error, lzma.LZMAError):
                head = unpack(head)
                break
    protocol = head[1:2]
    return head if head[:1] == b"\x80" and protocol and protocol[0] <= 5 else None


def _packages(pickle: bytes) -> Iterator[str]:
    """Packages of the classes that a pickle names, in order; classes are not imported."""
    texts: list[str] = []
    with suppress(ValueError, IndexError, UnicodeDecodeError):  # it is cut off, or holds raw arrays
        for operation, argument, _ in pickletools.genops(pickle):
            if operation.name == "GLOBAL":
                yield str(argument).partition(" ")[0].partition(".")[0]
            elif operation.name == "STACK_GLOBAL" and len(texts) > 1:
                yield texts[-2].partition(".")[0]
            elif isinstance(argument, str):
                texts.append(argument)
