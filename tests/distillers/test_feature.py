import pytest
import torch

from mmsa_core import testing
from mmsa_core.distillers.feature import FeatureDistillation
from mmsa_core.errors import UserError
from mmsa_core.types import Outputs


def joint(values):
    return Outputs(encoded={}, joint=torch.tensor(values), logits=torch.zeros(len(values), 1))


@pytest.fixture
def batch():
    return testing.batch(1, samples=2)


def term(batch, **fields):
    torch.manual_seed(0)
    return FeatureDistillation(FeatureDistillation.Config(**fields), testing.context(batch))


def test_by_hand(batch):
    student, teacher = joint([[1.0], [2.0]]), joint([[1.0, 0.0], [4.0, 6.0]])
    found = term(batch)
    found(student, teacher, batch)  # the regressor takes its widths
    with torch.no_grad():
        found.regressor.weight.copy_(torch.tensor([[2.0], [3.0]]))
        found.regressor.bias.copy_(torch.tensor([0.0, -1.0]))
    # r(h_s) = [[2, 2], [4, 5]]
    torch.testing.assert_close(found(student, teacher, batch), torch.tensor((1 + 4 + 0 + 1) / 4))


def test_without_projection(batch):
    same = joint([[1.0, 2.0], [3.0, 4.0]])
    other = joint([[1.0, 2.0], [3.0, 6.0]])
    assert term(batch, project=False)(same, other, batch) == 1.0
    with pytest.raises(UserError, match="1 wide, the teacher's 2; set project: true"):
        term(batch, project=False)(joint([[1.0], [2.0]]), other, batch)


def test_a_stored_regressor_fits_a_new_one(batch):
    student, teacher = joint([[1.0], [2.0]]), joint([[1.0, 0.0], [4.0, 6.0]])
    trained, fresh = term(batch), term(batch)
    value = trained(student, teacher, batch)
    fresh.load_state_dict(trained.state_dict())
    torch.testing.assert_close(fresh(student, teacher, batch), value)


def test_a_rehearsal_without_gradients_leaves_trainable_parameters(batch):
    found = term(batch)
    with torch.no_grad():
        found(joint([[1.0], [2.0]]), joint([[1.0, 0.0], [4.0, 6.0]]), batch)
    assert [tuple(p.shape) for p in found.parameters()] == [(2, 1), (2,)]
    assert all(p.requires_grad for p in found.parameters())
