"""Random numbers for masks: pure functions of (protocol, seed, epoch, sample, modality, frame).

A counter-based generator: each number is a hash of its coordinates (the finaliser of SplitMix64,
Steele et al., OOPSLA 2014), so it does not depend on batch order, batch size, workers, processes
or device, and nothing has to be stored to draw it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

GOLDEN = -7046029254386353131  # 2^64 / golden ratio, as a signed 64-bit integer
MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def derive(*parts: str | int) -> int:
    """A 63-bit seed that depends on every part; the same on every machine."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") >> 1


def keys(ids: Sequence[str]) -> Int64[Tensor, " samples"]:
    """A key for each sample id; an id that occurs again gets another key."""
    seen: dict[str, int] = {}
    values = []
    for name in ids:
        seen[name] = seen.get(name, -1) + 1
        values.append(derive("sample", name, seen[name]))
    return torch.tensor(values, dtype=torch.int64)


def mix(x: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """SplitMix64's finaliser on signed integers (shifts are made logical by masking)."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * MIX_1
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * MIX_2
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def unit(x: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The top 24 bits as a float32 in [0, 1), exact on every device."""
    return ((x >> 40) & 0xFFFFFF).to(torch.float32) * 2.0**-24


@dataclass(frozen=True, slots=True)
class Draw:
    """A source of uniform numbers for one use of a masker: who asks, with which seed, in which epoch."""

    protocol: str
    seed: int
    epoch: int = 0

    def samples(self, key: Int64[Tensor, " batch"], *purpose: str | int) -> Float[Tensor, " batch"]:
        """One number in [0, 1) per sample; another purpose gives another number."""
        return unit(self._hash(key, purpose))

    def frames(self, key: Int64[Tensor, " batch"], time: int, *purpose: str | int) -> Float[Tensor, "batch time"]:
        """One number in [0, 1) per sample and frame."""
        frame = torch.arange(1, time + 1, device=key.device) * GOLDEN
        return unit(mix(self._hash(key, purpose).unsqueeze(1) + frame))

    def normal(
        self, key: Int64[Tensor, " batch"], time: int, width: int, *purpose: str | int
    ) -> Float64[Tensor, "batch time channels"]:
        """One normal number per sample, frame and column: the quantile of a uniform one, within 5.5 deviations."""
        frame = torch.arange(1, time + 1, device=key.device) * GOLDEN
        column = torch.arange(1, width + 1, device=key.device) * GOLDEN
        number = mix(mix(self._hash(key, purpose).unsqueeze(1) + frame).unsqueeze(2) + column)
        found: Tensor = torch.special.ndtri(unit(number).double() + 2.0**-25)
        return found

    def _hash(self, key: Tensor, purpose: tuple[str | int, ...]) -> Tensor:
        stream = derive(self.protocol, self.seed, self.epoch, *purpose)
        return mix(mix(key + GOLDEN) ^ stream)
