"""The recurrences of torch's GRU and LSTM step by step, for graphs in which the number of steps is open.

Exporting torch's own modules would write out as many steps as the example has; a scan has one step and any number
of repetitions. The numbers are those of the modules up to rounding.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

State = tuple[Tensor, ...]


def scanned(cell: nn.GRU | nn.LSTM, x: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch time dim"]:
    """What one layer that reads in one direction, from a state of zeros, gives of each step."""
    own = dict(cell.named_parameters())
    inputs = F.linear(x, own["weight_ih_l0"], own["bias_ih_l0"]).transpose(0, 1)
    weight, bias = own["weight_hh_l0"], own["bias_hh_l0"]
    nothing = x.new_zeros(x.shape[0], cell.hidden_size)
    step = _lstm if isinstance(cell, nn.LSTM) else _gru
    first = (nothing, nothing.clone()) if isinstance(cell, nn.LSTM) else (nothing,)

    def combine(state: State, read: Tensor) -> tuple[State, Tensor]:
        after = step(state, read, F.linear(state[0], weight, bias))
        return after, after[0].clone()

    _, states = scan(combine, first, inputs)
    found: Tensor = states.transpose(0, 1)
    return found


def _gru(state: State, read: Float[Tensor, "batch three"], recurrent: Float[Tensor, "batch three"]) -> State:
    r"""Cho et al. (2014), as torch has it.

    .. math:: r, z = \sigma(\cdot), \quad n = \tanh(W_n x + r * (U_n h)), \quad h' = (1 - z) * n + z * h
    """
    r_x, z_x, n_x = read.chunk(3, dim=1)
    r_h, z_h, n_h = recurrent.chunk(3, dim=1)
    update = (z_x + z_h).sigmoid()
    new = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
    return (new + update * (state[0] - new),)


def _lstm(state: State, read: Float[Tensor, "batch four"], recurrent: Float[Tensor, "batch four"]) -> State:
    r"""Hochreiter & Schmidhuber (1997), with a forget gate.

    .. math:: c' = \sigma(f) * c + \sigma(i) * \tanh(g), \quad h' = \sigma(o) * \tanh(c')
    """
    i, f, g, o = (read + recurrent).chunk(4, dim=1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
