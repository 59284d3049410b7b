"""Types that such models name in their signatures."""

from typing import Any

import numpy as np

InferenceData = dict[str, np.ndarray[Any, Any]]
