"""What several tests need: outputs of the class that DMD's terms read."""

import pytest
from mmsa_dmd.outputs import Decoupled


@pytest.fixture
def decoupled():
    return lambda of, context, seed=0: Decoupled.example(of, context, seed)
