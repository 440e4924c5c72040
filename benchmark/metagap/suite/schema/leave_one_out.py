"""`[leave_one_out]`: the domains of a suite, each of which is held out once."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from metagap.suite.schema.section import Name, Section, distinct


class LeaveOneOut(Section):
    """The domains of a suite: for each there is a suite that trains on all others, and one page shows them all."""

    domains: dict[Name, str | dict[str, Any]] | Annotated[list[Name], AfterValidator(distinct)] = Field(
        description="a table of sources by name, each with the keys of [source] and its own; or, where [source] is a "
        "file of examples, a list of the domains in it"
    )
    pairs: bool = Field(
        default=True,
        description="whether to train without every two domains, too, which the selection rule leave-one-domain-out "
        "needs; only where evaluation.checkpoints is set",
    )

    @model_validator(mode="after")
    def _several(self) -> LeaveOneOut:
        if len(self.domains) < 2:
            raise ValueError(
                f"there are {len(self.domains)} domains; allowed: two or more, to train on and to hold out"
            )
        folded = {name.casefold() for name in self.domains}
        if len(folded) < len(self.domains):
            raise ValueError("two domains differ in capitals only")
        return self

    def sources(self, shared: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The source of each domain, from what all have in common."""
        if isinstance(self.domains, list):
            return {name: {**shared, "domains": [name]} for name in self.domains}
        own = {name: {"name": one} if isinstance(one, str) else one for name, one in self.domains.items()}
        return {name: {**shared, **one} for name, one in own.items()}
