"""Loads a Python model and answers its calls, one at a time."""

import contextlib
import fcntl
import functools
import gc
import io
import json
import mmap
import os
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import numpy as np

from .confine import confine
from .frames import Array, Piece, Place, Types, packed, places, unpacked
from .outputs import WrongOutputError, arrays_of

MESSAGE = 1 << 16
"""Most bytes of one message of the queue."""

ROOM = 1 << 20
"""What a socket or pipe may hold of large arrays, if the system lets it: fewer turns for them."""

DESCRIPTOR = struct.Struct("i")
"""Handed over with a call: the caller's end of a pipe or socket, and then, if arrays lie there,
memory that it lends."""

RIGHTS_BYTES = socket.CMSG_SPACE(2 * DESCRIPTOR.size)

COUNT = struct.Struct("<Q")
"""In front of a call: bytes of its lengths."""

ANSWER = struct.Struct("<II")
"""In front of an answer: how it went, and bytes of its lengths or of what went wrong. Both are
eight bytes long, so that arrays lie in what is read as they must for numpy."""

WELL, RAISED, MISFIT = range(3)
"""How a call went: the function raised something, or returned what it should not."""

KEPT, FREE = range(2)
"""Behind an answer to a call that lent memory: whether the function still holds any of it."""

WORDS = 500
"""Most characters of what went wrong."""

FRAMES = 20
"""Calls of a traceback that are logged."""

Function = Callable[[dict[str, Array]], object]


@dataclass
class Task:
    """What a keeper tells a worker, as JSON."""

    keeper: int
    path: str
    """The model: a folder, or a single file."""

    memory: int
    queue: int
    report: int
    cell: int
    """Descriptors: where calls come from, where to say once that it is loaded, and a page that
    tells since when it has been busy."""

    inputs: dict[str, str]
    outputs: dict[str, str]
    """Type of each, by name."""

    @functools.cached_property
    def types(self) -> tuple[Types, Types]:
        """Types of inputs and of outputs, in order."""
        return tuple(self.inputs.values()), tuple(self.outputs.values())


class LoadFault(Exception):  # noqa: N818 - the field's word
    """A model that cannot be loaded, in words for whoever wrote it."""


def main(text: str) -> None:
    """Run until the engine is gone."""
    task = Task(**json.loads(text))
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, errors="replace", line_buffering=True)
    confine(task.keeper, task.memory)
    try:
        function = _load(Path(task.path))
    except LoadFault as fault:
        _report(task.report, {"fault": str(fault)})
        sys.exit(1)
    _report(task.report, {})
    gc.freeze()  # what was loaded stays: looking through it again and again costs each call
    code = 1
    try:
        _serve_all(task, function)
        code = 0
    except BaseException as error:  # noqa: BLE001 - sys.exit, or a descriptor closed under us
        _log(error)
    finally:
        os._exit(code)  # at once, whatever threads the model has


def _serve_all(task: Task, function: Function) -> None:
    """Answer calls until the engine is gone."""
    busy_since = memoryview(mmap.mmap(task.cell, mmap.PAGESIZE)).cast("q")
    os.close(task.cell)
    queue = socket.socket(fileno=task.queue)
    room = bytearray(MESSAGE)
    while True:
        size, ancillary, _, _ = queue.recvmsg_into([room], RIGHTS_BYTES)
        if not size:
            return
        busy_since[0] = time.monotonic_ns()
        rights = ancillary[0][2]
        (caller,) = DESCRIPTOR.unpack_from(rights)
        try:
            if len(rights) == DESCRIPTOR.size:
                _serve(caller, room[:size], task, function)
            else:
                (lent,) = DESCRIPTOR.unpack_from(rights, DESCRIPTOR.size)
                _serve_lent(caller, lent, room[:size], task, function)
        except (BrokenPipeError, ConnectionError):
            pass  # a caller who left is no trouble
        finally:
            os.close(caller)
        busy_since[0] = 0


def _load(path: Path) -> Function:
    sys.path += [str(Path(__file__).with_name("stubs"))]  # last: what is installed goes first
    file = _module_file(path)
    if path.is_dir():
        sys.path.insert(0, str(path))
    loader = SourceFileLoader(file.stem if path.is_dir() else "model", str(file))
    module = ModuleType(loader.name)
    module.__file__ = str(file)
    sys.modules[loader.name] = module
    function: object = None
    try:
        loader.exec_module(module)
        function = getattr(module, "process_data", None)
        if callable(function) and callable(getattr(module, "load", None)):
            module.load(str(path if path.is_dir() else path.parent))
    except BaseException as error:  # noqa: BLE001 - sys.exit at import is a fault like any
        _log(error)
        raise LoadFault(f"{loader.name}.py cannot be loaded: {_words(error)}") from None
    if not callable(function):
        raise LoadFault(f"{loader.name}.py has no function process_data(input_data): add it")
    checked: Function = function
    return checked


def _module_file(path: Path) -> Path:
    """`model.py`, or the only module at the top of the folder; or the file itself."""
    if not path.is_dir():
        return path
    if (path / "model.py").is_file():
        return path / "model.py"
    modules = sorted(path.glob("*.py"))
    if len(modules) == 1:
        return modules[0]
    there = ", ".join(file.name for file in modules[:10]) or "none"
    raise LoadFault(f"no model.py at the top of the archive (modules there: {there}): add it")


def _report(pipe: int, what: Mapping[str, str]) -> None:
    os.write(pipe, json.dumps(what).encode())
    os.close(pipe)


def _serve(caller: int, message: bytearray, task: Task, function: Function) -> None:
    """Answer one call whose arrays came with it, or follow."""
    where, begin, size = _announced(message, task)
    if len(message) >= begin + size:
        arrays = unpacked(message, begin, where)
    else:
        arrays = unpacked(_received(caller, size), 0, where)
    pieces, size = _answer(arrays, task, function)
    if size > MESSAGE:
        _write_all(caller, pieces)
    else:
        _write(caller, b"".join(pieces))


def _serve_lent(caller: int, lent: int, message: bytearray, task: Task, function: Function) -> None:
    """Answer one call whose arrays lie in memory that is lent until then."""
    where, _, size = _announced(message, task)
    try:
        # Populated at once: a fault for each page would cost more than copying all of them.
        memory = mmap.mmap(lent, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    finally:
        os.close(lent)
    held = sys.getrefcount(memory)
    pieces, size = _answer(unpacked(memory, 0, where), task, function)
    if size > MESSAGE:
        _write_all(caller, pieces)  # which empties it
        answer = b""
    else:
        answer = b"".join(pieces)
        pieces.clear()
    # Every array in that memory refers to it, and so does every view of one.
    free = sys.getrefcount(memory) == held
    _write(caller, answer + bytes([FREE if free else KEPT]))


def _write_all(caller: int, pieces: list[Piece]) -> None:
    """Write what is long, and let go of it."""
    with contextlib.suppress(OSError):  # a bound of the user's; or no pipe
        fcntl.fcntl(caller, fcntl.F_SETPIPE_SZ, ROOM)
    while pieces:
        _write(caller, pieces.pop(0))


def _write(caller: int, piece: Piece) -> None:
    """Write all of it; a signal may come between."""
    written = os.write(caller, piece)
    while written < len(piece):
        written += os.write(caller, memoryview(piece)[written:])


def _announced(message: bytearray, task: Task) -> tuple[tuple[Place, ...], int, int]:
    """Where a call's arrays lie, where in the message they begin, and how many bytes they are."""
    (length,) = COUNT.unpack_from(message)
    begin = COUNT.size + length
    where, size = places(bytes(message[COUNT.size : begin]), task.types[0])
    return where, begin, size


def _received(caller: int, size: int) -> memoryview:
    view, got = np.empty(size, np.uint8).data, 0
    while got < size:
        more = os.readv(caller, [view[got:]])
        if not more:
            raise ConnectionResetError
        got += more
    return view


def _answer(arrays: list[Array], task: Task, function: Function) -> tuple[list[Piece], int]:
    """Run the function. Whatever it raises becomes words; what would end us still does."""
    try:
        result = function(dict(zip(task.inputs, arrays, strict=True)))
        arrays = arrays_of(result, task.outputs)
        lengths, pieces, size = packed(arrays, task.types[1])
    except WrongOutputError as error:
        return [_failed(MISFIT, str(error))], 0
    except Exception as error:  # noqa: BLE001 - the function's own
        _log(error)
        return [_failed(RAISED, _words(error))], 0
    return [ANSWER.pack(WELL, len(lengths)), lengths, *pieces], size


def _failed(how: int, words: str) -> bytes:
    text = words[:WORDS].encode(errors="replace")
    return ANSWER.pack(how, len(text)) + text


def _words(error: BaseException) -> str:
    """Name and first line of an error, however long it is."""
    try:
        text = str(error)[:WORDS]
    except Exception:  # noqa: BLE001 - an error that cannot even say what it is
        text = ""
    first = next(iter(text.splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _log(error: BaseException) -> None:
    """Say where it happened, for the log."""
    lines = traceback.format_tb(error.__traceback__)[-FRAMES:]
    sys.stderr.write("".join(lines) + _words(error) + "\n")
    sys.stderr.flush()
