"""The tiny bundle, made once in each precision."""

import pytest
import torch

from engine.models.loaded import LoadedBundle
from tests.engine.toy import toy_bundle


@pytest.fixture(scope="session")
def bundle() -> LoadedBundle:
    """Tiny random models, float32."""
    return toy_bundle()


@pytest.fixture(scope="session")
def double_bundle() -> LoadedBundle:
    """The same models in float64, for finite differences."""
    return toy_bundle(dtype=torch.float64)
