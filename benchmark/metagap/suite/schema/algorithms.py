"""`[algorithms.LABEL]`: what is run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from metagap.suite.schema.section import Text


class Entry(BaseModel):
    """One algorithm of a suite: hyper-parameters, and its own changes to the budget and the evaluation."""

    model_config = ConfigDict(frozen=True, extra="allow")

    algorithm: Text = Field(description="a name or path/to/file.py:ClassName; default: the label")
    on_request: bool = Field(default=False, description="run it only if it is named, as with --algorithm")
    training: dict[str, Any] = Field(default={}, description="its own keys of [training]")
    evaluation: dict[str, Any] = Field(default={}, description="its own keys of [evaluation], and `settings`")

    _complete: dict[str, Any] | None = None

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every other key of the table."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def all_hyperparameters(self) -> dict[str, Any]:
        """The same with every default. Raises TypeError for an entry that is not resolved."""
        if self._complete is None:
            raise TypeError(f"algorithm '{self.algorithm}' is as its file has it: its defaults are not filled in")
        return dict(self._complete)

    def completed(self, hyperparameters: dict[str, Any]) -> Entry:
        """The entry, with all of its hyper-parameters."""
        copy = self.model_copy()
        copy._complete = hyperparameters  # beside the keys of the table, which a record of the suite repeats
        return copy
