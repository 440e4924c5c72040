"""Meta-learning algorithms, one file each, written for one task; the contract is in `base`."""

from metagap.algorithms.base import Algorithm, GradientLearner

__all__ = ["Algorithm", "GradientLearner"]
