"""K-point regression."""

from metagap.kinds.kind import TaskKind

REGRESSION = TaskKind(
    name="regression",
    about="K points of one function, and other points of it to be predicted.",
    has_ways=False,
    metrics=("mse",),
    loss="metagap.metrics.functions:mean_squared_error",
    trivial_loss="metagap.kinds.trivial:mean_square",
    divergence=10.0,  # squared errors have no ceiling; a confident wrong classifier is not a diverged one
    drawing="metagap.report.figures.samples:sample",
)
