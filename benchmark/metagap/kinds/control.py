"""Tasks that answer back: control, or reinforcement learning."""

from metagap.kinds.kind import TaskKind

CONTROL = TaskKind(
    name="control",
    about="A world that a policy acts in: rollouts to learn from, stage by stage, and rollouts that are scored.",
    has_ways=False,
    acts=True,
    metrics=("return",),
    loss="metagap.metrics.functions:negative_return",
    trivial_loss="metagap.kinds.trivial:random_return",
    drawing="metagap.report.figures.samples:sample",
)
