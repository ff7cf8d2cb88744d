"""A sentence of which some tokens are missing, as BERT reads it (Devlin et al., NAACL 2019).

    what was said       [CLS]  it   was  very  good  [SEP]  [PAD]
    observed              x          x          x
    what BERT reads     [CLS] [UNK] was  [UNK] good  [SEP]  [PAD]
    attended              x     x    x     x    x      x

What hides tokens and what pads are the same to an encoder, so the number of hidden tokens at the end is
not known to it: the sentence ends after the last observed token.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from pydantic import NonNegativeInt
from torch import Tensor

from mmsa_core.closed import Closed


class Special(Closed):
    """Ids of the tokens that stand for no word; by default those of Google's BERT vocabularies."""

    pad: NonNegativeInt = 0
    """[PAD]: beyond the sentence."""
    unk: NonNegativeInt = 100
    """[UNK]: a missing token."""
    cls: NonNegativeInt = 101
    """[CLS]: begins the sentence."""
    sep: NonNegativeInt = 102
    """[SEP]: ends the sentence."""


def sentence(
    ids: Int64[Tensor, "batch time"], observed: Bool[Tensor, "batch time"], special: Special
) -> tuple[Int64[Tensor, "batch time+1"], Bool[Tensor, "batch time+1"]]:
    """The ids with missing tokens replaced, and which positions are attended to: [CLS] up to [SEP].

    The result is one step longer, so that there is room for [SEP] behind the last observed token. A sample
    without any token is [CLS] [SEP].
    """
    step = torch.arange(ids.shape[1] + 1, device=ids.device)
    ids, seen = F.pad(ids, (0, 1)), F.pad(observed, (0, 1))
    ids = ids.masked_fill(~seen, special.unk).masked_fill(step == 0, special.cls)
    last = torch.where(seen, step, 0).amax(dim=1, keepdim=True)
    end = last + (ids.gather(1, last) != special.sep).long()
    ids = ids.masked_fill(step == end, special.sep).masked_fill(step > end, special.pad)
    return ids, step <= end
