"""What those who fetch models are asked, and what they say: in files, arguments and last words."""

from enum import StrEnum

from pydantic import Field

from tiltyard_api.base import Contract
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.models import SHA256_PATTERN, ModelEntry

SECRETS = "/etc/tiltyard/secrets"
"""A Secret is mounted, in containers that fetch and in no other, at `SECRETS/NAME`."""

CLAIMS = "/var/lib/tiltyard/claims"
"""A volume that a `pvc:` source names is mounted, read-only, at `CLAIMS/NAME`."""

REPORT_BYTES = 4096
"""What Kubernetes keeps of a container's last words."""


class ArtifactReason(StrEnum):
    """Why an artifact is not served. People and programs may branch on it; messages may change."""

    SOURCE_NOT_FOUND = "SourceNotFound"
    ACCESS_DENIED = "AccessDenied"
    ADDRESS_REFUSED = "AddressRefused"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    SOURCE_UNSUPPORTED = "SourceUnsupported"
    FETCH_TIMEOUT = "FetchTimeout"
    TOO_LARGE = "TooLarge"
    NO_SPACE = "NoSpace"
    DIGEST_MISMATCH = "DigestMismatch"
    ARTIFACT_CHANGED = "ArtifactChanged"
    UNSAFE_ARCHIVE = "UnsafeArchive"
    NOT_A_MODEL = "NotAModel"
    LOAD_FAILED = "LoadFailed"
    SIGNATURE_MISMATCH = "SignatureMismatch"
    SIGNATURE_TOO_LARGE = "SignatureTooLarge"
    REQUIREMENTS_NOT_LOCKED = "RequirementsNotLocked"


class Artifact(Contract):
    """One model that a pod needs: where it is, and which bytes it has to be."""

    model: str
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

    reason: ArtifactReason | None = None
    fault: str | None = None
