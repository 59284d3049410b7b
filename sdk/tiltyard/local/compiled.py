"""From manifests to what an engine loads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tiltyard.failure import Failure
from tiltyard.local.resolving import Sources, resolve
from tiltyard.manifests import Manifest
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.plan import Plan
from tiltyard_api.resolved import ModelToResolve, ResolvedModel
from tiltyard_api.routing import CanaryRouting, RoutingTable
from tiltyard_core.canary import Wanted, wanted
from tiltyard_core.compile import compile_plan, compile_routing


@dataclass(frozen=True, slots=True)
class Compiled:
    """A Pipeline ready to be served."""

    manifest: Manifest
    resolved: Mapping[str, ResolvedModel]
    plan: Plan

    @property
    def uid(self) -> str:
        """Identity of the Pipeline: the same after a restart."""
        return self.manifest.uid

    @property
    def canaries(self) -> dict[str, Wanted]:
        """What the manifest wants of its canaries, by step."""
        pipeline = self.manifest.pipeline
        steps = [step.name for step in pipeline.spec.steps if step.canary]
        return {step: wanted(pipeline, step, self.plan) for step in steps}

    @property
    def experiment(self) -> bool:
        """Whether there is feedback to be judged."""
        return self.plan.experiment is not None

    @property
    def id_secret(self) -> str | None:
        """Name of the Secret that signs its inference ids; None: they follow from the uid."""
        experiment = self.manifest.pipeline.spec.experiment
        return experiment.id_secret_name if experiment else None

    def routing(
        self, revision: int, canaries: Mapping[str, CanaryRouting] = MappingProxyType({})
    ) -> RoutingTable:
        """Routing table that the manifest asks for, with its canaries where they stand."""
        return compile_routing(self.manifest.pipeline, self.plan, self.uid, revision, canaries)

    def same_routing(self, other: "Compiled") -> bool:
        """Whether what serves the other need not be told anything for this."""
        said = (self.routing(0), self.canaries, self.manifest.order)
        return said == (other.routing(0), other.canaries, other.manifest.order)

    def same_engine(self, other: "Compiled") -> bool:
        """Whether what serves the other could serve this with another routing table."""
        mine, theirs = ((one.plan.hash, one.uid, one.id_secret) for one in (self, other))
        return mine == theirs


def compile_all(manifests: Sequence[Manifest], sources: Sources) -> list[Compiled]:
    """Resolve and compile Pipelines.

    Raises:
        Failure: with a line for each model or Secret that cannot be had, or for each fault.

    """
    resolved = _resolve_all(manifests, sources)
    compiled: list[Compiled] = []
    faults: list[str] = []
    for manifest, models in zip(manifests, resolved, strict=True):
        try:
            compiled.append(Compiled(manifest, models, compile_plan(manifest.pipeline, models)))
        except InvalidManifest as error:
            faults += manifest.faults(error)
    faults += _missing_secrets(compiled, sources)
    if faults:
        raise Failure(*faults)
    return compiled


def _missing_secrets(compiled: Sequence[Compiled], sources: Sources) -> Iterator[str]:
    """Lines for Secrets that sign ids and that no folder stands in for.

    To go on with another key would be to give ids that a cluster's engines refuse.
    """
    for one in compiled:
        if one.id_secret and one.id_secret not in sources.secrets:
            yield (
                f"{one.manifest.place}: spec.experiment.idSecretName: the Secret"
                f" {one.id_secret!r} is not here: name a folder that holds its key, a file"
                f" 'current', by --secret {one.id_secret}=FOLDER, or remove idSecretName"
            )


def compile_weights(
    manifests: Sequence[Manifest], in_force: Sequence[Compiled]
) -> list[Compiled] | None:
    """Compile with the models that are in force already, where nothing but routing changed.

    Returns:
        None where anything else changed, or nothing did: then the models must be read anew.

    """
    known = {one.manifest.name: one for one in in_force}
    if {manifest.name for manifest in manifests} != set(known):
        return None
    compiled = []
    for manifest in manifests:
        old = known[manifest.name]
        if manifest.described() != old.manifest.described():
            return None
        try:
            plan = compile_plan(manifest.pipeline, old.resolved)
        except InvalidManifest:
            return None  # its faults are told with those of the models
        compiled.append(Compiled(manifest, old.resolved, plan))
    before = [known[one.manifest.name] for one in compiled]
    pairs = list(zip(compiled, before, strict=True))
    if not all(new.same_engine(old) for new, old in pairs):
        return None
    return None if all(new.same_routing(old) for new, old in pairs) else compiled


def _resolve_all(manifests: Sequence[Manifest], sources: Sources) -> list[dict[str, ResolvedModel]]:
    """Resolve the models of every Pipeline, by name, with one run of the resolver."""
    places = [
        (position, one)
        for position, manifest in enumerate(manifests)
        for one in manifest.described()
    ]
    wanted = [ModelToResolve(folder=str(one.folder), entry=one.entry) for _, one in places]
    resolved: list[dict[str, ResolvedModel]] = [{} for _ in manifests]
    faults = []
    for (position, one), found in zip(places, resolve(wanted, sources), strict=True):
        name = one.entry.name
        if found.resolved:
            resolved[position][name] = found.resolved
        else:
            faults.append(f"{one.place}.source: model {name!r}: {found.fault}")
    if faults:
        raise Failure(*faults)
    return resolved
