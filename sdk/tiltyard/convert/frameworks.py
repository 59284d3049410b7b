"""What can be converted: for each framework its program, its packages and how it is recognised."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")


class Framework(StrEnum):
    """Where models come from."""

    SCIKIT_LEARN = "scikit-learn"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    TENSORFLOW = "tensorflow"
    KERAS = "keras"
    PYTORCH = "pytorch"


@dataclass(frozen=True, slots=True)
class Tool:
    """What converts the models of a framework."""

    program: str
    """Module of `converters`."""

    environment: str
    """Its locked packages: a file of `requirements`."""

    packages: tuple[str, ...]
    """Whose versions decide what comes out."""

    size: str
    """What installing the packages takes, in words."""

    @property
    def requirements(self) -> Path:
        """The lock of its packages."""
        return REQUIREMENTS / f"{self.environment}.txt"


_TABLES = (
    "tables",
    ("scikit-learn", "xgboost-cpu", "xgboost", "lightgbm", "skl2onnx", "onnxmltools", "onnx"),
    "500 MB",
)
_TENSORFLOW = ("tensorflow", ("tensorflow-cpu", "tensorflow", "keras", "tf2onnx", "onnx"), "1.5 GB")
_PYTORCH = ("pytorch", ("torch", "onnxscript", "onnx"), "5 GB")

TOOLS = {
    Framework.SCIKIT_LEARN: Tool("scikit_learn", *_TABLES),
    Framework.XGBOOST: Tool("xgboost", *_TABLES),
    Framework.LIGHTGBM: Tool("lightgbm", *_TABLES),
    Framework.TENSORFLOW: Tool("tensorflow", *_TENSORFLOW),
    Framework.KERAS: Tool("tensorflow", *_TENSORFLOW),
    Framework.PYTORCH: Tool("pytorch", *_PYTORCH),
}
