"""How gradients become updates: optimisers, learning rates and their schedule, clipping."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from mmsa_core.components import Encoder, OptimizerConfig
from mmsa_core.recipes.sections import Train
from mmsa_core.training import nonfinite, restoring
from mmsa_core.training.precision import Scale
from mmsa_core.training.terms import Terms
from mmsa_core.training.world import ALONE, World


class Updates:
    """The optimisers of a network and of its loss terms; `parameters` are those of the network that learn."""

    def __init__(self, train: Train, network: nn.Module, terms: Terms, world: World = ALONE) -> None:
        self.train, self.world, self.scale = train, world, Scale(train.precision)
        self.parameters = trainable(network)
        rates, others = by_rate(network, train.lr), []
        self._all = list(self.parameters)
        self._learned: set[nn.Parameter] = set()
        self.largest = torch.zeros(())
        """The largest size of the last mini-batch's objective and gradients: finite where all of them are."""
        for label, term in terms.modules.items():
            if own := trainable(term):
                self._all += own
                config = terms.optimizers.get(label)
                if config is None:
                    rates.setdefault(train.lr, []).extend(own)
                else:
                    others.append(optimizer(config, own))
        groups = [{"params": parameters, "lr": rate} for rate, parameters in rates.items()]
        self.optimizers = [optimizer(train, groups), *others]
        self._rates = [[group["lr"] for group in each.param_groups] for each in self.optimizers]
        self._plateau = Plateau(train.plateau_factor, train.plateau_patience)

    def set_rates(self, done: int, total: int, halvings: int = 0) -> float:
        """Set what is learned at after `done` of `total` mini-batches; returns what has become of the recipe's rate."""
        factor = 0.5 * (1 + math.cos(math.pi * done / total)) if self.train.schedule == "cosine" else 1.0
        factor *= self._plateau.factor * 0.5**halvings
        for each, rates in zip(self.optimizers, self._rates, strict=True):
            for group, rate in zip(each.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        return self.train.lr * factor

    def add(self, total: Tensor) -> None:
        """Add the gradients of a mini-batch's objective, then clip each element of the sum, as DMD's code does.

        Every process has the whole objective, and with it the whole gradient of what the terms learn themselves.
        """
        own = torch.autograd.grad(self.scale.on(total), self._all, allow_unused=True)
        whole = 1 + len(self._all) - len(self.parameters)
        *scaled, agreed = self.world.summed((*own, total.detach()), (*self._all, total), whole)
        assert agreed is not None
        found = map(self.scale.off, scaled)
        learned = [(p, g) for p, g in zip(self._all, found, strict=True) if g is not None]
        self.largest = nonfinite.largest(agreed, (g for _, g in learned))
        self._learned.update(p for p, _ in learned)
        for parameter, _ in learned:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        torch._foreach_add_([p.grad for p, _ in learned if p.grad is not None], [g for _, g in learned])
        if self.train.clip_value is not None:
            nn.utils.clip_grad_value_(self._all, self.train.clip_value)

    def update(self) -> None:
        """Clip the norm of the network's gradient, move along the gradients and forget them."""
        if self.train.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.train.clip)
        for parameter in self._all:
            if parameter not in self._learned:
                parameter.grad = None  # what no loss asked for stays as it is, whatever it was moved by before
        self._learned.clear()
        self.scale.held()
        for each in self.optimizers:
            each.step()
            each.zero_grad(set_to_none=False)  # the others stay where they are: one operation instead of one each

    def forget(self) -> None:
        """Drop the gradients since the last update."""
        self._learned.clear()
        for each in self.optimizers:
            each.zero_grad(set_to_none=False)

    def state(self) -> dict[str, Any]:
        """What the next update depends on besides the weights; to be asked for behind an update."""
        assert not self._learned
        return {
            "optimizers": [each.state_dict() for each in self.optimizers],
            "plateau": self._plateau.state(),
            "scale": self.scale.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for each, saved in zip(self.optimizers, state["optimizers"], strict=True):
            restoring.optimizer(saved, each)
        restoring.same_form(state["plateau"], self._plateau.state(), "plateau")
        restoring.same_form(state["scale"], self.scale.state(), "scale")
        self.scale.restore(state["scale"])
        for name, value in state["plateau"].items():
            setattr(self._plateau, name, value)

    def validated(self, loss: float | None) -> None:
        """An epoch ended with this loss on validation."""
        if self.train.schedule == "plateau":
            self._plateau.hear(math.nan if loss is None else loss)


class Plateau:
    """A factor that falls when a loss stops falling: torch's ReduceLROnPlateau with a relative threshold of 1e-4.

    Departure: torch leaves a rate as it is when it would change by less than 1e-8.
    """

    def __init__(self, by: float, patience: int) -> None:
        self.by, self.patience = by, patience
        self.factor, self.best, self.worse = 1.0, math.inf, 0

    def state(self) -> dict[str, Any]:
        """What changes."""
        return {"factor": self.factor, "best": self.best, "worse": self.worse}

    def hear(self, loss: float) -> None:
        """Take an epoch's loss; NaN is no improvement."""
        if loss < self.best * (1 - 1e-4):
            self.best, self.worse = loss, 0
        else:
            self.worse += 1
        if self.worse > self.patience:
            self.factor, self.worse = self.factor * self.by, 0


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that take a gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def by_rate(network: nn.Module, lr: float) -> dict[float, list[nn.Parameter]]:
    """The parameters by their learning rate: the encoders' own rates, and `lr` for everything else.

    A parameter that is named twice learns at the rate named first.
    """
    own: dict[nn.Parameter, float] = {}
    for encoder in network.modules():
        for module, rate in encoder.own_rates() if isinstance(encoder, Encoder) else ():
            own = dict.fromkeys(trainable(module), rate) | own
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in trainable(network):
        groups.setdefault(own.get(parameter, lr), []).append(parameter)
    return groups


def optimizer(config: OptimizerConfig, parameters: ParamsT) -> torch.optim.Optimizer:
    """The optimiser that a recipe names, for some parameters."""
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.algorithm == "sgd":
        return torch.optim.SGD(parameters, momentum=config.momentum, **common)
    kind: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW if config.algorithm == "adamw" else torch.optim.Adam
    return kind(parameters, betas=config.betas, fused=True, **common)
