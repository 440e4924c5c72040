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
    diagnostics=(),
    drawing="metagap.report.figures.worlds:sample",
    sampled="The first test tasks of every split, each in a colour of its own: what random actions do (thin) and, "
    "where they are known, the best ones. A policy is not told the task: it has to find out by its rewards.",
    shot="rollout",
    terms=(
        ("task", "a world with its parameters; a policy acts in it, and is not told the parameters"),
        ("inner step", "a stage of rollouts is collected with the policy so far, and the policy learns from it"),
        ("support", "the rollouts of the first stage; their score is that of the policy in the same random numbers"),
        ("queries", "the rollouts that are scored: others, which nothing was learned from"),
    ),
)
