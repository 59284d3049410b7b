"""Puts Models in the places of a Pipeline that refer to them."""

from collections.abc import Mapping

from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.v1alpha1.model import Model
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_api.v1alpha1.pipeline import Pipeline


def referred(pipeline: Pipeline) -> frozenset[str]:
    """Names of the Models that a Pipeline refers to."""
    return frozenset(one.model_ref.name for one in pipeline.spec.models if one.model_ref)


def with_models(pipeline: Pipeline, models: Mapping[str, Model]) -> Pipeline:
    """Describe every model of a Pipeline in place.

    Args:
        pipeline: a valid manifest.
        models: the Models of its namespace, by name; more than it needs do no harm.

    Returns:
        The Pipeline with the Models' own words; its references stay beside them, so that a fault
        can say where it is.

    Raises:
        InvalidManifest: a Model that it refers to is not there; holds every such fault.

    """
    listed = []
    for one in pipeline.spec.models:
        model = models.get(one.model_ref.name) if one.model_ref else None
        fields = dict(model.spec) if model else {}
        listed.append(one.model_copy(update=fields))
    spec = pipeline.spec.model_copy(update={"models": tuple(listed)})
    complete = pipeline.model_copy(update={"spec": spec})
    entries(complete)
    return complete


def entries(pipeline: Pipeline) -> list[tuple[str, ModelEntry]]:
    """Every model of a Pipeline in full, each with the path of its description.

    Raises:
        InvalidManifest: a Model is referred to that is not there; holds every such fault.

    """
    found = []
    faults = []
    for index, one in enumerate(pipeline.spec.models):
        path, entry = f"spec.models[{index}]", one.entry
        reference = one.model_ref.name if one.model_ref else None
        if entry is not None:
            found.append((f"Model {reference}: spec" if reference else path, entry))
        else:
            namespace = pipeline.metadata.namespace
            remedy = "create it, or describe the model in place by framework and source"
            message = f"no Model {reference!r} in namespace {namespace!r}: {remedy}"
            faults.append(Fault(f"{path}.modelRef.name", message))
    if faults:
        raise InvalidManifest(faults)
    return found
