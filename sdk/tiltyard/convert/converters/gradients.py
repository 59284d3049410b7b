"""Gradient boosting of other libraries as steps of a scikit-learn pipeline."""

from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from xgboost import XGBClassifier, XGBRegressor

CLASSIFIER = {"nocl": [True, False], "zipmap": [True, False, "columns"]}


def boosted_steps() -> None:
    """Teach the converter of pipelines what the libraries' own converters know."""
    for model, name, convert in (
        (XGBClassifier, "XGBoostXGBClassifier", convert_xgboost),
        (LGBMClassifier, "LightGbmLGBMClassifier", convert_lightgbm),
    ):
        update_registered_converter(
            model, name, calculate_linear_classifier_output_shapes, convert, options=CLASSIFIER
        )
    for model, name, convert in (
        (XGBRegressor, "XGBoostXGBRegressor", convert_xgboost),
        (LGBMRegressor, "LightGbmLGBMRegressor", convert_lightgbm),
    ):
        update_registered_converter(model, name, calculate_linear_regressor_output_shapes, convert)
