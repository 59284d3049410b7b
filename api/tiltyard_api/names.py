"""Names that more than one part spells: the API group, derived names, identities."""

import uuid

GROUP = "tiltyard.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

CANARY_ANNOTATION = f"{GROUP}/canary"
"""By which people promote or abort a stage: `promote@STAGE`, `abort@STAGE`."""

DATA_PORT = 8080
GRPC_PORT = 8081
MANAGEMENT_PORT = 9090

IDENTITY = uuid.uuid5(uuid.NAMESPACE_DNS, GROUP)
"""Namespace of every UUIDv5 that Tiltyard makes."""

HASH_CHARACTERS = 10
"""How much of a plan's hash goes into names: the longest that pods carry as a label,
`NAME-r-HASH10` of a resolve Job, has 50 + 3 + 10 = 63 characters, the most there may be."""


def local_uid(namespace: str, name: str) -> str:
    """Stand-in for `metadata.uid` where no API server gives one; outlives a restart."""
    return str(uuid.uuid5(IDENTITY, f"pipeline/{namespace}/{name}"))


def model_version(name: str, digest: str, configuration: str) -> str:
    """Version of a model: the same name, bytes and configuration give the same one everywhere."""
    return str(uuid.uuid5(IDENTITY, f"model/{name}/{digest}/{configuration}"))


def pipeline_version(plan_hash: str) -> str:
    """Version of a Pipeline, told in every answer: one for each plan."""
    return str(uuid.uuid5(IDENTITY, f"plan/{plan_hash}"))


def default_salt(namespace: str, pipeline: str, step: str) -> str:
    """What a step's hash keys are salted with where the manifest names no salt."""
    return f"{namespace}/{pipeline}/{step}"
