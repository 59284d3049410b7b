"""`tiltyard convert`: converts a model, and shows that it still answers the same."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiltyard.convert import child, compare, entry, rows, tools
from tiltyard.convert.compare import Difference
from tiltyard.convert.detect import detect, pickled
from tiltyard.convert.frameworks import TOOLS, Framework
from tiltyard.failure import Failure
from tiltyard.local.resolving import Sources, resolve, store_folder
from tiltyard.notices import notice, result
from tiltyard_api.resolved import ModelToResolve, ResolvedModel
from tiltyard_core.signature import signature_faults


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may say beside the model and where it goes."""

    framework: Framework | None = None
    rows: Path | None = None
    tolerance: float = 1e-4
    python: Path | None = None


def convert(model: Path, to: Path, options: Options) -> None:
    """Convert a model, compare it with its original, and show its entry of a manifest.

    Raises:
        Failure: it cannot be converted, or answers otherwise.

    """
    asked = _asked(model, to, options)
    if pickled(model):
        notice(f"{model} is a pickle, which may run anything: convert only what you trust")
    # Theirs sees what they see; ours sees nothing of the user's.
    interpreter = (
        [str(options.python)]
        if options.python
        else [str(tools.interpreter(asked.framework, asked.tool)), "-I"]
    )
    with tempfile.TemporaryDirectory(dir=to.absolute().parent, prefix=".tiltyard-") as folder:
        fresh = Path(folder, to.name)
        converted = child.convert(asked, fresh, interpreter)
        answers = compare.run(fresh, converted.inputs)
        found = compare.differences(answers, converted.outputs, options.tolerance)
        _refuse_beyond(found, options.tolerance)
        resolved = _resolved(fresh)
        fresh.replace(to)
    count = len(next(iter(converted.inputs.values())))
    made = entry.entry(to, resolved, converted.columns)
    result("\n".join([*_proof(converted.versions, found, count), entry.lines(made)]))


def _asked(model: Path, to: Path, options: Options) -> child.Asked:
    if to.suffix != ".onnx":
        raise Failure(f"{to}: the result is an ONNX file: give it a name that ends in .onnx")
    if not to.absolute().parent.is_dir():
        raise Failure(f"{to}: there is no folder {to.parent}: make it")
    recognised = options.framework if model.exists() and options.framework else detect(model)
    given = rows.read(options.rows) if options.rows else None
    return child.Asked(model, recognised, TOOLS[recognised], given)


def _refuse_beyond(found: Sequence[Difference], tolerance: float) -> None:
    """Refuse a model that answers otherwise; nothing is written then."""
    beyond = [one for one in found if one.relative > tolerance]
    if beyond:
        raise Failure(
            *(
                f"output {one.output!r} differs from the original by {one.absolute:.2g}"
                f" (relative {one.relative:.2g}, more than {tolerance:g}) in row {one.row}:"
                f" {one.ours} instead of {one.theirs}"
                for one in beyond
            ),
            "nothing was written: train on float32, or allow it by --tolerance",
        )


def _resolved(model: Path) -> ResolvedModel:
    """Have the engine try the model as it tries every one."""
    asked = ModelToResolve(folder=str(model.parent), entry=entry.unresolved(model))
    (found,) = resolve([asked], Sources(store_folder()))
    if found.resolved is None:
        raise Failure(f"the engine refuses the converted model: {found.fault}")
    faults = [
        str(fault) for fault in signature_faults(entry.unresolved(model), found.resolved, "it")
    ]
    if faults:
        raise Failure("the converted model cannot be served:", *faults)
    return found.resolved


def _proof(versions: dict[str, str], found: Sequence[Difference], count: int) -> Iterator[str]:
    """Lines that say, as comments of YAML, what was done and how far the answers are apart."""
    yield f"# {', '.join(f'{name} {version}' for name, version in versions.items())}"
    for one in found:
        apart = f"{one.absolute:.2g} (relative {one.relative:.2g})" if one.absolute else "0"
        yield f"# {one.output}: largest difference {apart} over {count} rows"
