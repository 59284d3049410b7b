"""What Tiltyard reads of an object's metadata, and what its name may be."""

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, SchemaExtra, cel
from tiltyard_api.v1alpha1.models import NAME_LENGTH, NAME_PATTERN

NAMESPACE_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class Metadata(Contract):
    """The part that is read; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH)
    namespace: str = Field(default="default", pattern=NAMESPACE_PATTERN, max_length=63)
    uid: str | None = Field(default=None, min_length=1, max_length=64)


def name_rules(kind: str) -> SchemaExtra:
    """Rules on the name, which a CRD can say of the whole object only."""
    return cel(
        (
            f"size(self.metadata.name) <= {NAME_LENGTH}",
            f"the name of a {kind} has at most {NAME_LENGTH} characters: shorten it",
            ".metadata.name",
        ),
        (
            f"self.metadata.name.matches('{NAME_PATTERN}')",
            f"the name of a {kind} is lower-case letters, digits and '-', a letter first",
            ".metadata.name",
        ),
    )
