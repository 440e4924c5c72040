"""What people are shown of a task: the sample of a report, drawn as a page draws it."""

from __future__ import annotations

from metagap.checking.findings import Fault, error_with_origin
from metagap.checking.sources.subject import Subject
from metagap.tasks.contract import check_sample


def sample(subject: Subject) -> str:
    """Whether a report can draw it; of a source that does not say how, the examples as an algorithm is given them."""
    own = True
    for part in subject.drawable:
        sampler = subject.sampler(part)
        arrays = sampler.sample(subject.seen[part].drawn)
        check_sample(arrays)
        own = hasattr(sampler.tasks, "sample")
        try:
            figure = subject.spec.kind.drawing_function()(arrays)
            figure.canvas.draw()
        except Exception as error:
            raise Fault(f"{part}: a page could not draw its sample: {error_with_origin(error)}") from None
    return "a page can draw what `sample` gives" if own else "a page can draw the examples; `sample` may say how else"
