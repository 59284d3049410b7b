"""Which columns records have, and whether what a manifest says of them makes sense."""

from collections.abc import Iterator

from tiltyard_api.faults import Fault
from tiltyard_api.plan import Plan, PlanRecords, PlanShadow
from tiltyard_api.quantities import quantity_bytes, seconds
from tiltyard_api.v1alpha1.records import Records, Sink


def plan_records(records: Records) -> PlanRecords:
    """Give what an engine must know of records."""
    return PlanRecords(
        uri=records.sink.uri,
        secret=records.sink.secret_name,
        sample=records.sample,
        inputs=records.inputs,
        exclude=records.exclude or (),
        hash=records.hash or (),
        keep_size=quantity_bytes(records.sink.keep_size),
        keep_for=seconds(records.sink.keep_for),
    )


def default_records(uri: str) -> PlanRecords:
    """Give what holds where only the place is said."""
    return plan_records(Records(sink=Sink(uri=uri)))


def record_faults(records: Records, plan: Plan) -> Iterator[Fault]:
    """Columns that are to be left out or hashed and that no record has.

    A name that is misspelt here would let through what its author wanted kept.
    """
    known = set(record_columns(plan))
    for field, columns in (("exclude", records.exclude), ("hash", records.hash)):
        for index, column in enumerate(columns or ()):
            if column not in known:
                there = ", ".join(sorted(known))
                message = f"no record has {column!r} (there: {there}): correct it"
                yield Fault(f"spec.records.{field}[{index}]", message)


def input_columns(plan: Plan) -> tuple[str, ...]:
    """Columns of requests that steps use: what models take, and hash keys; each once."""
    taken = [column for tensor in plan.request for column in tensor.columns]
    return tuple(dict.fromkeys([*taken, *plan.key_fields]))


def record_columns(plan: Plan) -> Iterator[str]:
    """Columns that may be left out or hashed: of the last step's outputs, and challengers'."""
    yield from (f"in.{name}" for name in input_columns(plan))
    yield from (f"out.{tensor.name}" for tensor in plan.steps[-1].outputs)
    models = {model.name: model for model in plan.models}
    for step in plan.steps:
        for challenger in step.challengers if isinstance(step, PlanShadow) else ():
            yield from (f"out.{tensor.name}" for tensor in models[challenger].outputs)
