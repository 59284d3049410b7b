"""A pipeline: edited here, deployed as the manifest that kubectl knows, asked by tables."""

from collections.abc import Mapping
from typing import Any, Self

from tiltyard.calls import Calls
from tiltyard.drafts import Draft, models_of
from tiltyard.editing import EditedSteps
from tiltyard.failure import EntityNotFoundError
from tiltyard.places import Document, Place, Revision, Tell, not_deployed, pipeline_document
from tiltyard.recorded import Records
from tiltyard.rollback import chosen, rolled_back
from tiltyard_api.v1alpha1.stage import Stage
from tiltyard_api.v1alpha1.verdict import Report

DEPLOY_SECONDS = 600.0
UNDEPLOY_SECONDS = 120.0

STATUS_OF = {"Running": "Running", "Degraded": "Running", "Stalled": "Error"}
"""Words that notebooks wait for, by the phase; any other phase is on its way."""


class Pipeline(EditedSteps, Calls, Records):
    """A pipeline of a workspace.

    Args:
        place: where it is deployed.
        name: its name.
        tell: says what is waited for.

    """

    def __init__(self, place: Place, name: str, tell: Tell) -> None:
        Calls.__init__(self, place, name, tell)
        Records.__init__(self, place, name)
        found = place.pipeline(name)
        EditedSteps.__init__(self, Draft(found["spec"] if found else None))

    def __repr__(self) -> str:
        models = ", ".join(name for step in self.steps() for name in models_of(step))
        return f"Pipeline({self._name!r}, workspace={self._place.namespace!r}, models=[{models}])"

    def name(self) -> str:
        """Give its name."""
        return self._name

    def deploy(
        self,
        deployment_config: Mapping[str, Any] | None = None,
        *,
        wait: bool = True,
        timeout: float = DEPLOY_SECONDS,
    ) -> Self:
        """Put it in force as it stands here, without losing a request, and wait until it is.

        Args:
            deployment_config: what `DeploymentConfigBuilder().build()` gives; what was said before
                stays where nothing is.
            wait: whether to wait until all pods serve it.
            timeout: seconds to wait at most.

        Raises:
            Failure: it is not valid, cannot be served, or not in time.

        """
        if deployment_config is not None:
            self._draft.set("deployment", dict(deployment_config) or None)
        self._draft.set("suspend", None)
        self._put(self._draft.spec(), timeout if wait else 0)
        return self

    def undeploy(self, *, timeout: float = UNDEPLOY_SECONDS) -> Self:
        """Take what serves it away; steps, models and history stay."""
        self._place.undeploy(self._name, timeout)
        self._kept = None
        return self

    def status(self) -> Document:
        """Say how it fares: `status` in one word, `details`, and what the place tells beside."""
        found = self._place.status(self._name) if self._place.pipeline(self._name) else {}
        phase = found.get("phase")
        if phase in (None, "Suspended") and not found.get("conditions"):
            return {"status": f"Pipeline {self._name} is not deployed", "details": []}
        conditions = found.get("conditions") or ()
        details = [
            f"{one['type']} {one['status']}, {one['reason']}: {one['message']}"
            for one in conditions
        ]
        word = f"Pipeline {self._name} is not deployed" if phase == "Suspended" else "Starting"
        return {"status": STATUS_OF.get(str(phase), word), "details": details} | found

    def url(self) -> str:
        """Give the address that requests are posted to."""
        return f"{self._place.engine(self._name, 1).url}/pipelines/{self._name}"

    def set_weights(
        self,
        weights: Mapping[str, float],
        *,
        step: str | None = None,
        timeout: float = DEPLOY_SECONDS,
    ) -> Self:
        """Give variants of a split other weights, in force when this returns; nothing restarts.

        Args:
            weights: by the names of models; those that are not named keep theirs.
            step: the split's name, where there are several.
            timeout: seconds to wait at most.

        """
        there = self._place.pipeline(self._name)
        if there is None:
            raise not_deployed(self._name)
        deployed = Draft(there["spec"])
        deployed.weigh(weights, step)
        self._put(deployed.spec(), timeout)
        if self._draft.steps == Draft(there["spec"]).steps:
            self._draft = deployed
        return self

    def report(self) -> Report:
        """Say what its experiment and its shadows have shown; a look at it spoils nothing.

        Raises:
            Failure: it has neither, or is not deployed.

        """
        return self._place.report(self._name)

    def versions(self) -> list[Revision]:
        """Give its versions, newest first."""
        return sorted(self._place.revisions(self._name), key=lambda one: -one.number)

    def history(self) -> list[dict[str, Any]]:
        """Say of each version, newest first, when it began and what it ran."""
        return [
            {
                "version": one.number,
                "name": one.name,
                "created": one.created,
                "models": {name: digest[:12] for name, digest in one.digests.items()},
                "steps": [step["name"] for step in one.spec["steps"]],
            }
            for one in self.versions()
        ]

    def rollback(self, to: int | None = None, *, timeout: float = DEPLOY_SECONDS) -> Self:
        """Go back to an earlier version: the same steps and bytes, with today's weights.

        Args:
            to: its number; without one, the version before this.
            timeout: seconds to wait at most.

        Raises:
            EntityNotFoundError: there is no such version.

        """
        there = self._place.pipeline(self._name)
        if there is None:
            raise EntityNotFoundError(f"there is no pipeline {self._name} to roll back")
        found = chosen(self._place.revisions(self._name), self._name, to, there["spec"])
        spec = rolled_back(found, there["spec"])
        self._put(spec, timeout)
        self._draft = Draft(spec)
        self._tell(f"{self._name}: as in version {found.number}")
        return self

    def promote(self, step: str | None = None) -> Stage:
        """Let a canary go on to its next stage; `status()` shows what comes of it.

        Args:
            step: the canary's name, where there are several.

        Returns:
            The stage that it leaves.

        Raises:
            Failure: there is no such canary, or it cannot go on.

        """
        return self._place.order(self._name, "promote", step)

    def abort(self, step: str | None = None) -> Stage:
        """Take the candidate of a canary out of the way, until the canary is another.

        Args:
            step: the canary's name, where there are several.

        Returns:
            The stage that it was in.

        Raises:
            Failure: there is no such canary, or its candidate gets nothing already.

        """
        return self._place.order(self._name, "abort", step)

    def _put(self, spec: Document, seconds: float) -> None:
        document = pipeline_document(self._name, self._place.namespace, spec)
        self._place.deploy(document, seconds)
        self._kept = None
