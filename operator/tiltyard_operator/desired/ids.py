"""The Secret whose keys sign inference ids, in the engine's container and in no other."""

from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.volumes import OUR_VOLUMES
from tiltyard_operator.desired.pod import mount
from tiltyard_operator.kinds import Object

IDS_FOLDER = "/etc/tiltyard/ids"


def id_arguments(pipeline: Pipeline) -> dict[str, str]:
    """Where the engine finds its keys; nothing where they follow from the Pipeline's uid."""
    told = f"{pipeline.metadata.name}={IDS_FOLDER}"
    return {"--id-keys": told} if _secret(pipeline) else {}


def id_mounts(pipeline: Pipeline) -> list[Object]:
    """Put the keys there."""
    return [mount("ids", IDS_FOLDER, read_only=True)] if _secret(pipeline) else []


def id_volumes(pipeline: Pipeline) -> list[Object]:
    """Give the Secret. Where it or its key is missing the engine does not start, and says so."""
    name = _secret(pipeline)
    if not name:
        return []
    secret = {"secretName": name, "defaultMode": 0o440, "optional": True}
    return [{"name": f"{OUR_VOLUMES}ids", "secret": secret}]


def _secret(pipeline: Pipeline) -> str | None:
    experiment = pipeline.spec.experiment
    return experiment.id_secret_name if experiment else None
