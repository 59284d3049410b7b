"""What those who fetch models are asked, and what they say: in files, arguments and last words."""

from pydantic import Field

from tiltyard_api.base import Contract
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.models import SHA256_PATTERN, Framework, ModelEntry

SECRETS = "/etc/tiltyard/secrets"
"""A Secret is mounted, in containers that fetch and in no other, at `SECRETS/NAME`."""

CLAIMS = "/var/lib/tiltyard/claims"
"""A volume that a `pvc:` source names is mounted, read-only, at `CLAIMS/NAME`."""

REPORT_BYTES = 4096
"""What Kubernetes keeps of a container's last words."""


class Artifact(Contract):
    """One model that a pod needs: where it is, and which bytes it has to be."""

    model: str
    framework: Framework
    uri: str
    address: str | None = None
    """Immutable address of these bytes, where the store has one; None: the uri itself."""

    digest: str = Field(pattern=SHA256_PATTERN)
    size: int = Field(ge=0)
    secret: str | None = None
    """Name of the Secret that its source is read with."""


class ArtifactList(Contract):
    """What the init step of a pod fetches."""

    artifacts: tuple[Artifact, ...]


class TrialRequest(Contract):
    """A model to be fetched and tried; its name is a placeholder that changes nothing."""

    entry: ModelEntry
    """Its source names the Secret, if there is one."""


class TrialReport(Contract):
    """What a trial found, in at most `REPORT_BYTES` of JSON: facts, or a reason and a sentence."""

    resolved: ResolvedModel | None = None
    address: str | None = None
    """Immutable address of the bytes, where the store has one."""

    reason: ConditionReason | None = None
    """One of `ARTIFACT_FAULTS`."""

    fault: str | None = None
