"""An algorithm as it is in a process that has not computed anything yet."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import Any

from metagap.algorithms.base import Algorithm


def renewed(algorithm: Algorithm) -> Any:
    """The same algorithm of a module that is imported once more, next to the first; None where that does not work."""
    cls = type(algorithm)
    module = sys.modules.get(cls.__module__)
    file = inspect.getsourcefile(cls) if module is not None else None
    spec = importlib.util.spec_from_file_location(cls.__module__, file) if file else None
    if module is None or spec is None or spec.loader is None or cls.__qualname__ != cls.__name__:
        return None
    copy = importlib.util.module_from_spec(spec)
    sys.modules[cls.__module__] = copy  # where pydantic looks for the types of fields
    try:
        spec.loader.exec_module(copy)
        return getattr(copy, cls.__name__)(**dict(algorithm))
    except Exception:
        return None
    finally:
        sys.modules[cls.__module__] = module
