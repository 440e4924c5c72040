"""Gated recurrent units."""

from __future__ import annotations

from torch import Tensor

from metagap.models.recurrent import RecurrentLayer, RecurrentNetwork


class GRULayer(RecurrentLayer):
    """The rows of its weights are those of torch's: reset gate, update gate, candidate."""

    rows = 3
    recurrent_bias = True

    def outputs(self, given: Tensor, zeros: Tensor) -> list[Tensor]:
        """See `RecurrentLayer`."""
        states, state = [], zeros
        for one in given.unbind(0):
            state = gru_cell(one, self.recurrent(state), state)
            states.append(state)
        return states


def gru_cell(given: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
    """The next state (n, hidden). given, recurrent: what inputs and state are mapped to (n, 3 * hidden)."""
    sizes = [2 * state.shape[-1], state.shape[-1]]
    (gates, candidate), (gates_, candidate_) = given.split(sizes, -1), recurrent.split(sizes, -1)
    reset, update = (gates + gates_).sigmoid().chunk(2, -1)
    return (candidate + reset * candidate_).tanh().lerp(state, update)


class GRU(RecurrentNetwork):
    """Layers of gated recurrent units over a series (Cho et al. 2014), in torch's form of them.

    x_shape: (channels, time) of one input. outputs: number of outputs. hidden: width of the state. layers: on top of
    each other. bidirectional: each layer also goes backwards in time, with weights of its own. pooling: the features
    are the "last" state, of each direction, or the "mean" over time.
    """

    name = "gru"
    layer = GRULayer
