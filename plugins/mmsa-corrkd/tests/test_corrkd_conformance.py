"""Every component of this distribution conforms."""

import pytest

from mmsa_core import testing


@pytest.mark.parametrize("component", testing.components("mmsa-corrkd"), ids=str)
def test_it_conforms(component):
    component.check()
