"""What those who fetch models are asked, and what they say: in files, arguments and last words."""

import base64
import json
import zlib

from pydantic import Field, model_validator

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

MOST_SIZE = "16Gi"
"""Bytes of an artifact, where nobody says otherwise."""

FETCH_TIME = "7m"
"""How long fetching one may take, likewise."""

TRIAL_TIME = "2m"
"""How long loading it and running it once may take, likewise."""

MOST_UNPACKED = 1 << 20
"""Bytes of the longest report that is read."""


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
    """What a trial found: facts, or a reason and a sentence."""

    resolved: ResolvedModel | None = None
    address: str | None = None
    """Immutable address of the bytes, where the store has one."""

    reason: ConditionReason | None = None
    """One of `ARTIFACT_FAULTS`."""

    fault: str | None = None

    def written(self) -> bytes:
        """Give the report as JSON; packed where it would be longer than is kept of it."""
        plain = self.model_dump_json(by_alias=True, exclude_none=True).encode()
        if len(plain) <= REPORT_BYTES:
            return plain
        packed = base64.b64encode(zlib.compress(plain, 9)).decode()
        return json.dumps({"packed": packed}).encode()

    @model_validator(mode="before")
    @classmethod
    def _unpacked(cls, data: object) -> object:
        if isinstance(data, dict) and isinstance(data.get("packed"), str):
            try:
                packed = base64.b64decode(data["packed"], validate=True)
                return json.loads(zlib.decompressobj().decompress(packed, MOST_UNPACKED))
            except (zlib.error, RecursionError) as error:
                raise ValueError("what was packed is damaged") from error
        return data
