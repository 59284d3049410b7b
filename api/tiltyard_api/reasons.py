"""Why a request was refused: the stable words of the error bodies, with their HTTP status."""

from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """The `reason` of an error answer. Clients may branch on it; the message may change."""

    MALFORMED_BODY = "MalformedBody"
    EMPTY_BATCH = "EmptyBatch"
    RAGGED_ROWS = "RaggedRows"
    MISSING_COLUMN = "MissingColumn"
    WRONG_TYPE = "WrongType"
    OUT_OF_RANGE = "OutOfRange"
    SHAPE_MISMATCH = "ShapeMismatch"
    NULL_VALUE = "NullValue"
    HASH_KEY_MISSING = "HashKeyMissing"
    HASH_KEY_OUT_OF_RANGE = "HashKeyOutOfRange"
    UNKNOWN_VARIANT = "UnknownVariant"
    ROW_NEEDS_OWN_ID = "RowNeedsOwnId"
    MALFORMED_ID = "MalformedId"
    UNKNOWN_METRIC = "UnknownMetric"
    CLOCK_AHEAD = "ClockAhead"
    WRONG_TOKEN = "WrongToken"  # noqa: S105 - a word for people
    DUPLICATE = "Duplicate"
    TOO_OLD = "TooOld"
    BODY_TOO_DEEP = "BodyTooDeep"
    UNKNOWN_PARAMETER = "UnknownParameter"
    UNKNOWN_PIPELINE = "UnknownPipeline"
    UNKNOWN_PATH = "UnknownPath"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    NOT_ACCEPTABLE = "NotAcceptable"
    REQUEST_TIMEOUT = "RequestTimeout"
    BODY_TOO_LARGE = "BodyTooLarge"
    TOO_MANY_ROWS = "TooManyRows"
    URI_TOO_LONG = "UriTooLong"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
    HEADERS_TOO_LARGE = "HeadersTooLarge"
    MODEL_FAILED = "ModelFailed"
    OVERLOADED = "Overloaded"
    DRAINING = "Draining"
    NOT_READY = "NotReady"
    MODEL_TIMEOUT = "ModelTimeout"


STATUS_OF = MappingProxyType(
    {
        Reason.WRONG_TOKEN: 401,
        Reason.UNKNOWN_PIPELINE: 404,
        Reason.UNKNOWN_PATH: 404,
        Reason.METHOD_NOT_ALLOWED: 405,
        Reason.NOT_ACCEPTABLE: 406,
        Reason.REQUEST_TIMEOUT: 408,
        Reason.DUPLICATE: 409,
        Reason.TOO_OLD: 410,
        Reason.BODY_TOO_LARGE: 413,
        Reason.TOO_MANY_ROWS: 413,
        Reason.URI_TOO_LONG: 414,
        Reason.UNSUPPORTED_MEDIA_TYPE: 415,
        Reason.HEADERS_TOO_LARGE: 431,
        Reason.MODEL_FAILED: 500,
        Reason.OVERLOADED: 503,
        Reason.DRAINING: 503,
        Reason.NOT_READY: 503,
        Reason.MODEL_TIMEOUT: 504,
    }
    # Everything else is the request's own fault.
    | dict.fromkeys(
        (
            Reason.MALFORMED_BODY,
            Reason.EMPTY_BATCH,
            Reason.RAGGED_ROWS,
            Reason.MISSING_COLUMN,
            Reason.WRONG_TYPE,
            Reason.OUT_OF_RANGE,
            Reason.SHAPE_MISMATCH,
            Reason.NULL_VALUE,
            Reason.HASH_KEY_MISSING,
            Reason.HASH_KEY_OUT_OF_RANGE,
            Reason.UNKNOWN_VARIANT,
            Reason.ROW_NEEDS_OWN_ID,
            Reason.MALFORMED_ID,
            Reason.UNKNOWN_METRIC,
            Reason.CLOCK_AHEAD,
            Reason.BODY_TOO_DEEP,
            Reason.UNKNOWN_PARAMETER,
        ),
        400,
    )
)
"""HTTP status of each reason. A test holds the two equal in length."""
