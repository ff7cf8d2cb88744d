"""States that somebody made: their form is that of this training, or the state is refused."""

import pytest
import torch
from torch import nn

from mmsa_core.training import restoring
from mmsa_core.training.progress import Progress


def saved(**changes):
    return Progress(epoch=1, steps=3).state() | changes


def test_ones_own_progress_is_taken():
    network, terms = nn.Linear(2, 1), nn.Linear(1, 1)
    best = (dict(network.state_dict()), dict(terms.state_dict()))
    pending = [({"step": 1}, ("loss", "norm"), torch.zeros(2))]
    given = saved(best=best, complaints={"a": 2}, pending=pending, best_value=1)
    assert restoring.progress(given, network, terms) == Progress(**given)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": -1}, "progress.epoch is -1"),
        ({"epoch": True}, "progress.epoch is True"),
        ({"steps": "3"}, "progress.steps is '3'"),
        ({"best_value": "low"}, "progress.best_value is no number"),
        ({"finished": 1}, "progress.finished is 1"),
        ({"best": ({}, {})}, "progress.best.0 has other entries"),
        ({"best": ({"weight": torch.zeros(3, 2), "bias": torch.zeros(1)}, {})}, "progress.best.0.weight is no tensor"),
        ({"complaints": {"a": "x"}}, "progress.complaints.a is 'x'"),
        ({"pending": [({}, ("loss",), torch.zeros(2))]}, "progress.pending is no tensor"),
    ],
)
def test_what_is_not_of_its_form_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        restoring.progress(saved(**changes), nn.Linear(2, 1), nn.Identity())


@pytest.mark.parametrize(
    ("group", "moment"),
    [({"lr": "x"}, {}), ({"params": [0, 1, 2]}, {}), ({}, {"exp_avg": torch.zeros(9)}), ({}, {"exp_avg": "x"})],
)
def test_an_optimisers_state_fits_its_parameters(group, moment):
    network = nn.Linear(2, 1)
    own = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    own.step()
    state = own.state_dict()
    restoring.optimizer(state, own)
    state["param_groups"][0] |= group
    state["state"][0] = state["state"][0] | moment
    with pytest.raises(ValueError, match="optimizer"):
        restoring.optimizer(state, own)
