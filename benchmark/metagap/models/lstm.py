"""Long short-term memory."""

from __future__ import annotations

import torch
from torch import Tensor

from metagap.models.recurrent import RecurrentLayer, RecurrentNetwork


class LSTMLayer(RecurrentLayer):
    """The rows of its weights: input, forget and output gate, candidate; torch's has the last two swapped.

    It has one bias, where torch has two that are added.
    """

    rows = 4
    recurrent_bias = False

    def outputs(self, given: Tensor, zeros: Tensor) -> list[Tensor]:
        """See `RecurrentLayer`."""
        outputs, output, memory = [], zeros, zeros
        weight = self.recurrent.weight.t()
        for one in given.unbind(0):
            gates, candidate = torch.addmm(one, output, weight).split([3 * self.hidden, self.hidden], -1)
            enter, keep, leave = gates.sigmoid().chunk(3, -1)
            memory = torch.addcmul(keep * memory, enter, candidate.tanh())
            output = leave * memory.tanh()
            outputs.append(output)
        return outputs


class LSTM(RecurrentNetwork):
    """Layers of long short-term memory over a series (Hochreiter and Schmidhuber 1997, with forget gates).

    x_shape: (channels, time) of one input. outputs: number of outputs. hidden: width of the state. layers: on top of
    each other. bidirectional: each layer also goes backwards in time, with weights of its own. pooling: the features
    are the "last" output, of each direction, or the "mean" over time.
    """

    name = "lstm"
    layer = LSTMLayer
