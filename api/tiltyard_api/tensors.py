"""Types and shapes of tensors, as manifests, plans and answers spell them."""

from enum import StrEnum

from pydantic import Field

from tiltyard_api.base import Contract

ANY_LENGTH = -1


class TensorType(StrEnum):
    """Element types that a model may take or give."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    BOOL = "bool"
    STRING = "string"


class TensorSpec(Contract):
    """One named input or output of a model, for one row."""

    name: str = Field(min_length=1, max_length=64)
    """How callers name it."""

    type: TensorType

    shape: tuple[int, ...] = ()
    """Lengths of one row's dimensions; -1 is any. Empty: a scalar a row."""

    @property
    def is_number(self) -> bool:
        """Whether a row holds one number."""
        return self.shape in ((), (1,)) and self.type not in (TensorType.BOOL, TensorType.STRING)

    def text(self) -> str:
        """The spec as messages show it: `float32[29]`."""
        lengths = ",".join("?" if n == ANY_LENGTH else str(n) for n in self.shape)
        return f"{self.type}[{lengths}]"

    def takes(self, other: "TensorSpec") -> bool:
        """Whether a tensor described by `other` can be given where this one is wanted."""
        return (
            self.type == other.type
            and len(self.shape) == len(other.shape)
            and all(
                mine == theirs or ANY_LENGTH in (mine, theirs)
                for mine, theirs in zip(self.shape, other.shape, strict=True)
            )
        )
