"""What a schema cannot say of canaries and of what steps draw by, on the document as written."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from tiltyard_api.faults import Fault
from tiltyard_api.v1alpha1.canary import MOST_CANARIES, ONE_RAMP
from tiltyard_api.v1alpha1.hashkey import ONE_KEY
from tiltyard_api.v1alpha1.written import Data, entries, mapping, present


def of_hash_key(step: Data, path: str) -> Iterator[Fault]:
    """A key comes from one place."""
    key = step.get("hashKey")
    if isinstance(key, Mapping) and present(key, "field") == present(key, "header"):
        yield Fault(f"{path}.hashKey", ONE_KEY)


def canaries_fit(spec: Data) -> Iterator[Fault]:
    """What is known of the users of all canaries fits into one object."""
    found = [index for index, step in entries(spec, "steps") if present(step, "canary")]
    for index in found[MOST_CANARIES:]:
        message = f"a Pipeline has at most {MOST_CANARIES} canaries: make this one a split"
        yield Fault(f"spec.steps[{index}].canary", message)


def of_canary(canary: Data, path: str) -> Iterator[Fault]:
    """Every rule that a canary breaks."""
    if present(canary, "stable") and canary["stable"] == canary.get("candidate"):
        yield Fault(f"{path}.candidate", "is the stable model: name another")
    yield from of_hash_key(canary, path)
    ramp = canary.get("ramp")
    if isinstance(ramp, Mapping) and present(ramp, "linear") == present(ramp, "steps"):
        yield Fault(f"{path}.ramp", ONE_RAMP)
    weights = [(n, step.get("weight")) for n, step in entries(mapping(canary, "ramp"), "steps")]
    numbers = [(n, one) for n, one in weights if isinstance(one, int | float)]
    for (_, low), (index, high) in pairwise(numbers):
        if high < low:
            message = f"is below {low:g}, the weight before it, and a ramp never falls"
            yield Fault(f"{path}.ramp.steps[{index}].weight", f"{message}: order the steps")
