"""One network: features standardised, an encoder per modality, then a fusion."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmsa_core.components import Encoder, Fusion
from mmsa_core.corpora.corpus import Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.types import Batch, Encoded, Modality, Outputs, map_tensors, widened


class Standardize(nn.Module):
    """Centres and scales each feature column; its statistics travel with the weights."""

    mean: Tensor
    scale: Tensor
    known: Tensor
    """Whether training had a frame of the modality; without one nothing was learned of it, and it counts as missing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("known", torch.tensor(True))

    def fit(self, train: Sequences, scale: bool = True) -> None:
        """Take mean and deviation of the observed training frames; a constant column carries nothing: zero."""
        known = bool(train.present().any())
        self.known.fill_(known)
        if not known or not scale:
            return
        mean, deviation = train.statistics.mean, train.statistics.deviation
        constant = deviation <= 1e-6 * mean.abs().clamp(min=1e-6)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(constant, 0.0, 1 / deviation.masked_fill(constant, 1.0)))

    def forward(self, x: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch time channels"]:
        return (x - self.mean) * self.scale


class Model(nn.Module):
    """Encodes each modality, then fuses; `lengths` are the longest sequences of the data that it was built for."""

    def __init__(
        self,
        channels: Mapping[Modality, int],
        encoders: Mapping[Modality, Encoder],
        fusion: Fusion,
        lengths: Mapping[Modality, int] | None = None,
    ) -> None:
        super().__init__()
        self.lengths: Mapping[Modality, int] = lengths or {}
        self.standardize = nn.ModuleDict({m: Standardize(width) for m, width in channels.items()})
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion

    def fit_statistics(self, train: Split, scale: bool = True) -> None:
        """Note which modalities a training split has, and standardise by its observed frames if `scale`.

        What an encoder takes raw stays as it is.
        """
        for modality, module in self.standardize.items():
            encoder = self.encoders[modality]
            assert isinstance(module, Standardize)
            assert isinstance(encoder, Encoder)
            module.fit(train.features[modality], scale and not encoder.raw)

    @property
    def fixed_length(self) -> bool:
        """Whether its results depend on how far samples are padded."""
        return any(part.fixed_length for part in (*self.encoders.values(), self.fusion))

    def encode(
        self, modality: Modality, features: Float[Tensor, "batch time channels"], observed: Bool[Tensor, "batch time"]
    ) -> Encoded:
        """One modality's representation."""
        standardize = self.standardize[modality]
        assert isinstance(standardize, Standardize)
        encoded: Encoded = self.encoders[modality](standardize(features), observed & standardize.known)
        return encoded

    def forward(self, batch: Batch) -> Outputs:
        encoded = {m: self.encode(m, batch.features[m], batch.observed[m]) for m in self.encoders}
        device = next(iter(batch.observed.values())).device.type
        if not self.fusion.mixed and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._fused(map_tensors(widened, encoded))
        return self._fused(encoded)

    def _fused(self, encoded: Mapping[Modality, Encoded]) -> Outputs:
        outputs: Outputs = self.fusion(encoded)
        return outputs
