"""Hint-based distillation of representations (FitNets, Romero et al., ICLR 2015, https://arxiv.org/abs/1412.6550).

The hint is the joint representation. Mean squared error instead of the paper's half sum of
squares, so that the size of the term does not depend on the width.
"""

import warnings

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.errors import UserError
from mmsa_core.types import Batch, Outputs


class FeatureDistillation(Distiller):
    r"""The student's joint representation, through a learned regressor r, meets the teacher's (equation 3).

    .. math:: \frac{1}{Nd} \sum_i \lVert h^t_i - r(h^s_i) \rVert^2
    """

    class Config(DistillerConfig):
        project: bool = True
        """Whether the regressor r stands between them; without it both need the same width."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.regressor = Regressor() if config.project else None

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        h_s, h_t = student.joint, teacher.joint.detach()
        if self.regressor is not None:
            return squared_error(self.regressor(h_s, h_t), h_t)
        if h_s.shape != h_t.shape:
            raise UserError(
                f"distiller 'feature': the student's joint representation is {h_s.shape[1]} wide, the teacher's "
                f"{h_t.shape[1]}; set project: true, or give both networks the same dim, modalities and fusion"
            )
        return squared_error(h_s, h_t)


def squared_error(found: Float[Tensor, "batch width"], wanted: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
    """Mean of the squared differences; zero, with a gradient, where there is none."""
    return F.mse_loss(found, wanted) if len(found) else found.sum()


class Regressor(nn.LazyLinear):
    """A linear layer that takes both its widths from its first call."""

    cls_to_become = None  # type: ignore[assignment]

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Lazy modules", UserWarning)
            super().__init__(0)

    def initialize_parameters(self, h_s: Tensor, h_t: Tensor) -> None:  # type: ignore[override]
        if self.has_uninitialized_params():
            self.out_features = h_t.shape[-1]
            super().initialize_parameters(h_s)

    def forward(  # type: ignore[override]
        self, h_s: Float[Tensor, "batch student"], h_t: Float[Tensor, "batch teacher"]
    ) -> Float[Tensor, "batch teacher"]:
        return F.linear(h_s, self.weight, self.bias)
