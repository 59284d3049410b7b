"""What statuses and events say in one word. The words are part of the interface: they never change.

docs/conditions.md says of each when it is told and what to do.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from types import MappingProxyType


class ConditionType(StrEnum):
    """Questions that a status answers."""

    ACCEPTED = "Accepted"
    """Is the spec valid, and is there everything that it refers to?"""

    MODELS_LOADED = "ModelsLoaded"
    """Have all models been found, tried and put into a plan?"""

    AVAILABLE = "Available"
    """Does something serve, whatever its plan?"""

    ROUTING_SYNCED = "RoutingSynced"
    """Does every pod that serves run the weights that are wanted?"""

    CANARY_HEALTHY = "CanaryHealthy"
    """Does every candidate do well, as far as can be known? Absent where there is no canary."""

    EXPERIMENT_CONCLUSIVE = "ExperimentConclusive"
    """Has the experiment shown which variant is best? Absent where there is no experiment."""

    STALLED = "Stalled"
    """Is there something that only people can mend? True or absent."""

    RECONCILING = "Reconciling"
    """Is the operator still at work? True or absent."""

    READY = "Ready"
    """Do all pods serve what this generation of the spec says?"""


class ConditionReason(StrEnum):
    """Why a condition is as it is."""

    # Nothing is wrong.
    VALID = "Valid"
    RESOLVED = "Resolved"
    SERVING = "Serving"
    SYNCED = "Synced"

    COMPLETE = "Complete"

    # On the way.
    RESOLVING = "Resolving"
    LOADING = "Loading"
    ROLLING = "Rolling"
    SCALING = "Scaling"
    SYNCING = "Syncing"
    QUEUED = "Queued"
    RETRYING = "Retrying"

    RAMPING = "Ramping"
    AWAITING_PROMOTION = "AwaitingPromotion"
    INSUFFICIENT_DATA = "InsufficientData"

    # An experiment.
    VARIANT_BETTER = "VariantBetter"
    CONTROL_BEST = "ControlBest"
    NO_VERDICT = "NoVerdict"
    SAMPLE_RATIO_MISMATCH = "SampleRatioMismatch"

    # Wanted so.
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"

    # A candidate.
    FROZEN = "Frozen"
    ROLLED_BACK = "RolledBack"

    # The spec.
    INVALID = "Invalid"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_NOT_READY = "ModelNotReady"
    STEPS_DO_NOT_FIT = "StepsDoNotFit"

    # An artifact.
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - the word itself
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    SOURCE_UNSUPPORTED = "SourceUnsupported"
    ACCESS_DENIED = "AccessDenied"
    ADDRESS_REFUSED = "AddressRefused"
    NO_SPACE = "NoSpace"
    DIGEST_MISMATCH = "DigestMismatch"
    TOO_LARGE = "TooLarge"
    UNSAFE_ARCHIVE = "UnsafeArchive"
    NOT_A_MODEL = "NotAModel"
    LOAD_FAILED = "LoadFailed"
    SIGNATURE_MISMATCH = "SignatureMismatch"
    SIGNATURE_TOO_LARGE = "SignatureTooLarge"
    REQUIREMENTS_NOT_LOCKED = "RequirementsNotLocked"
    RESOLVE_FAILED = "ResolveFailed"
    ARTIFACT_CHANGED = "ArtifactChanged"

    # The cluster.
    NAME_TAKEN = "NameTaken"
    APPLY_REFUSED = "ApplyRefused"
    NO_POD_SERVES = "NoPodServes"
    PODS_FAILING = "PodsFailing"
    PODS_UNSCHEDULABLE = "PodsUnschedulable"
    POD_SILENT = "PodSilent"
    ROLLOUT_STUCK = "RolloutStuck"


ARTIFACT_FAULTS: AbstractSet[ConditionReason] = frozenset(
    {
        ConditionReason.SECRET_NOT_FOUND,
        ConditionReason.SOURCE_NOT_FOUND,
        ConditionReason.SOURCE_UNAVAILABLE,
        ConditionReason.SOURCE_UNSUPPORTED,
        ConditionReason.ACCESS_DENIED,
        ConditionReason.ADDRESS_REFUSED,
        ConditionReason.NO_SPACE,
        ConditionReason.DIGEST_MISMATCH,
        ConditionReason.TOO_LARGE,
        ConditionReason.UNSAFE_ARCHIVE,
        ConditionReason.NOT_A_MODEL,
        ConditionReason.LOAD_FAILED,
        ConditionReason.SIGNATURE_MISMATCH,
        ConditionReason.SIGNATURE_TOO_LARGE,
        ConditionReason.REQUIREMENTS_NOT_LOCKED,
        ConditionReason.RESOLVE_FAILED,
        ConditionReason.ARTIFACT_CHANGED,
    }
)
"""What can be wrong with an artifact."""

SPEC_FAULTS: AbstractSet[ConditionReason] = frozenset(
    {
        ConditionReason.INVALID,
        ConditionReason.MODEL_NOT_FOUND,
        ConditionReason.MODEL_NOT_READY,
        ConditionReason.STEPS_DO_NOT_FIT,
    }
)
"""What can be wrong with a spec and what it refers to."""

CLUSTER_FAULTS: AbstractSet[ConditionReason] = frozenset(
    {
        ConditionReason.NAME_TAKEN,
        ConditionReason.APPLY_REFUSED,
        ConditionReason.PODS_FAILING,
        ConditionReason.PODS_UNSCHEDULABLE,
        ConditionReason.ROLLOUT_STUCK,
    }
)
"""What the cluster can have against what was asked for."""

CANARY: AbstractSet[ConditionReason] = frozenset(
    {
        ConditionReason.COMPLETE,
        ConditionReason.RAMPING,
        ConditionReason.AWAITING_PROMOTION,
        ConditionReason.INSUFFICIENT_DATA,
        ConditionReason.FROZEN,
        ConditionReason.ROLLED_BACK,
    }
)
"""How a canary can fare."""

CANDIDATE_FAULTS: AbstractSet[ConditionReason] = frozenset({ConditionReason.ROLLED_BACK})
"""What can be wrong with a candidate, for which people must change the spec."""

EXPERIMENT: AbstractSet[ConditionReason] = frozenset(
    {
        ConditionReason.VARIANT_BETTER,
        ConditionReason.CONTROL_BEST,
        ConditionReason.NO_VERDICT,
        ConditionReason.INSUFFICIENT_DATA,
        ConditionReason.SAMPLE_RATIO_MISMATCH,
    }
)
"""How an experiment can stand."""

_NO_PODS = frozenset({ConditionReason.SUSPENDED, ConditionReason.SCALED_TO_ZERO})

_UNDER_WAY = frozenset(
    {
        ConditionReason.RESOLVING,
        ConditionReason.LOADING,
        ConditionReason.ROLLING,
        ConditionReason.SCALING,
        ConditionReason.SYNCING,
        ConditionReason.QUEUED,
        ConditionReason.RETRYING,
    }
)

REASONS: Mapping[ConditionType, AbstractSet[ConditionReason]] = MappingProxyType(
    {
        ConditionType.ACCEPTED: SPEC_FAULTS | {ConditionReason.VALID},
        ConditionType.MODELS_LOADED: ARTIFACT_FAULTS
        | SPEC_FAULTS
        | {ConditionReason.RESOLVED, ConditionReason.RESOLVING, ConditionReason.RETRYING},
        ConditionType.AVAILABLE: _NO_PODS
        | {ConditionReason.SERVING, ConditionReason.NO_POD_SERVES},
        ConditionType.ROUTING_SYNCED: _NO_PODS
        | {
            ConditionReason.SYNCED,
            ConditionReason.SYNCING,
            ConditionReason.NO_POD_SERVES,
            ConditionReason.POD_SILENT,
        },
        ConditionType.CANARY_HEALTHY: CANARY,
        ConditionType.EXPERIMENT_CONCLUSIVE: EXPERIMENT,
        ConditionType.STALLED: ARTIFACT_FAULTS | SPEC_FAULTS | CLUSTER_FAULTS | CANDIDATE_FAULTS,
        ConditionType.RECONCILING: _UNDER_WAY | {ConditionReason.MODEL_NOT_READY},
        ConditionType.READY: frozenset(ConditionReason)
        - {ConditionReason.VALID, ConditionReason.SYNCED}
        - (CANARY - CANDIDATE_FAULTS)
        - EXPERIMENT,
    }
)
"""The words that each condition may give."""


class EventReason(StrEnum):
    """What `kubectl describe` lists under Events: one a change, none while nothing changes."""

    RESOLVED = "Resolved"
    """Normal: an artifact was found and tried; names digest and size."""

    ROLLING_OUT = "RollingOut"
    """Normal: pods are replaced, since there is a new plan or pod template."""

    ROLLED_OUT = "RolledOut"
    """Normal: every pod serves what is wanted."""

    ROUTING_CHANGED = "RoutingChanged"
    """Normal: another routing table was written; names its revision."""

    STAGE_ENTERED = "StageEntered"
    """Normal: a candidate's share grew; names stage and share."""

    CANARY_COMPLETE = "CanaryComplete"
    """Normal: a ramp is at its end."""

    SUSPENDED = "Suspended"
    """Normal: the pods were taken away, as `suspend` asks."""

    RESUMED = "Resumed"
    """Normal: `suspend` was taken back."""

    DRIFT_REPAIRED = "DriftRepaired"
    """Normal: an object of ours was deleted or changed by others and is again as it should be."""

    STALLED = "Stalled"
    """Warning: people must mend something; the message begins with the condition's reason."""

    UNAVAILABLE = "Unavailable"
    """Warning: no pod serves any more."""

    ROLLED_BACK = "RolledBack"
    """Warning: a candidate gets nothing any more; tells who found what, and the evidence."""

    CANARY_FROZEN = "CanaryFrozen"
    """Warning: users do not divide between the models as they should; nothing is judged."""


WARNINGS: AbstractSet[EventReason] = frozenset(
    {
        EventReason.STALLED,
        EventReason.UNAVAILABLE,
        EventReason.ROLLED_BACK,
        EventReason.CANARY_FROZEN,
    }
)
"""Events of the type Warning; all others are Normal."""
