"""metagap: how far does a meta-learner generalize?

`load_suite`, `run`, `read`, `compare_suites`, `associations`, `available` and `Report` are what notebooks and scripts
use; `metagap.api` describes them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metagap.api import (
        DomainReport,
        Report,
        SweepReport,
        associations,
        available,
        compare_suites,
        load_suite,
        read,
        run,
    )

__version__ = "0.1.0"
__all__ = [
    "DomainReport",
    "Report",
    "SweepReport",
    "__version__",
    "associations",
    "available",
    "compare_suites",
    "load_suite",
    "read",
    "run",
]


def __getattr__(name: str) -> Any:
    """What is offered comes when it is asked for: the command needs none of it to start."""
    if name in __all__:
        from metagap import api

        return getattr(api, name)
    raise AttributeError(f"module 'metagap' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
