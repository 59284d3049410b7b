"""What wrote a model that is uploaded."""

from enum import StrEnum

from tiltyard.convert import frameworks


class Framework(StrEnum):
    """Frameworks of models: the first two run as they are, the others are converted."""

    ONNX = "onnx"
    PYTHON = "python"
    SKLEARN = frameworks.Framework.SCIKIT_LEARN.value
    XGBOOST = frameworks.Framework.XGBOOST.value
    LIGHTGBM = frameworks.Framework.LIGHTGBM.value
    TENSORFLOW = frameworks.Framework.TENSORFLOW.value
    KERAS = frameworks.Framework.KERAS.value
    PYTORCH = frameworks.Framework.PYTORCH.value


RUN_AS_THEY_ARE = (Framework.ONNX, Framework.PYTHON)
