"""Knowledge distillation of responses (Hinton et al., 2015, https://arxiv.org/abs/1503.02531)."""

from typing import Annotated, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs


def kd(
    z_s: Float[Tensor, "responses classes"], z_t: Float[Tensor, "responses classes"], temperature: float
) -> Float[Tensor, ""]:
    r"""Divergence of softened responses, z = logits of student (s) and teacher (t); a mean over the responses.

    .. math:: T^2 \cdot \mathrm{KL}\big(\sigma(z_t / T) \,\|\, \sigma(z_s / T)\big)

    The factor keeps the gradient's size when T changes (section 2 of the paper). Zero without a response.
    """
    log_s, log_t = F.log_softmax(z_s / temperature, dim=1), F.log_softmax(z_t / temperature, dim=1)
    return F.kl_div(log_s, log_t, log_target=True, reduction="sum") / max(len(log_s), 1) * temperature**2


class LogitDistillation(Distiller):
    """The student's responses follow the teacher's; several binary labels count as so many responses."""

    responses: ClassVar[bool] = True
    representations: ClassVar[bool] = False

    class Config(DistillerConfig):
        temperature: Annotated[float, Field(gt=0, le=1e6)] = 2.0
        """T; a higher one shows more of how the teacher ranks the wrong classes."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.task = context.task
        self.temperature = config.temperature

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        z_s = self.task.responses(student.logits).flatten(0, 1)
        z_t = self.task.responses(teacher.logits.detach()).flatten(0, 1)
        return kd(z_s, z_t, self.temperature)
