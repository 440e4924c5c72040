"""The contract of a peer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.metadata import version
from typing import ClassVar

from torch import Tensor

from metagap.speed.timing import Way
from metagap.speed.workloads import Problem


class Peer(ABC):
    """Another library. It may run a problem in several ways; the fastest is the one that counts."""

    name: ClassVar[str]
    algorithms: ClassVar[tuple[str, ...]] = ("maml", "fomaml", "reptile")
    uses_torch: ClassVar[bool] = True
    """Whether torch can see its memory."""

    @property
    def version(self) -> str:
        """The version that is installed."""
        return version(self.name)

    @abstractmethod
    def ways(self, problem: Problem, cores: int) -> list[Way]:
        """The ways worth trying. An iteration is a whole outer step, or the evaluation of all episodes."""

    @abstractmethod
    def answer(self, problem: Problem) -> Tensor:
        """What `answer` of the engine gives: the meta-gradient in one vector, or the query losses (tasks,)."""
