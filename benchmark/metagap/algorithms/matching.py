"""Matching networks."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from metagap.algorithms.base import Params
from metagap.algorithms.metric import MetricLearner


class MatchingNet(MetricLearner):
    """A nearest-neighbour classifier with soft attention over the support examples.

    The attention of a query to the support examples is the softmax of the cosines between their embeddings, and the
    probability of a class is the attention to its examples (Vinyals et al. 2016, equation 1 and section 2.1.1); its
    logarithm is the logit. Without the full-context embeddings of section 2.1.2: every example is embedded by itself.
    """

    paper: ClassVar[str] = "Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra (2016), Matching Networks, NeurIPS"

    scale: PositiveFloat = Field(
        default=1.0, description="factor of the cosines: the paper has none, the code of Chen et al. (2019) has 100"
    )
    rectify: bool = Field(default=False, description="whether negative cosines count as zero, as in that code")

    def embed(self, meta: Params, z: Tensor, y: Tensor) -> Params:
        """The support examples as directions (K, width), and whose they are (K, ways)."""
        return {"support": F.normalize(z, dim=-1), "member": self.one_hot(y, z.dtype)}

    def logits(self, fast: Params, z: Tensor) -> Tensor:
        """Log-probabilities (n, ways), summed without leaving the logarithm: the attention may be too small for it."""
        cosine = F.normalize(z, dim=-1) @ fast["support"].T
        attention = (self.scale * (cosine.relu() if self.rectify else cosine)).log_softmax(-1)
        return (attention[:, :, None] + fast["member"].log()).logsumexp(1)
