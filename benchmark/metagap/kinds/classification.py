"""N-way K-shot classification."""

from metagap.kinds.kind import TaskKind

CLASSIFICATION = TaskKind(
    name="classification",
    about="K labelled examples of each of N classes, and queries of the same classes.",
    has_ways=True,
    metrics=("accuracy",),
    loss="metagap.metrics.functions:cross_entropy",
    trivial_loss="metagap.kinds.trivial:uniform_cross_entropy",
    drawing="metagap.report.figures.samples:sample",
)
