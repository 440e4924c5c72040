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
    "where they are known, the best ones of who is told the task. A policy is not: it has to find out by its rewards.",
    shot="rollout",
    terms=(
        ("task", "a world with its parameters, which a policy acts in and is not told; the tables call it an episode"),
        ("rollout", "one run of a policy in a task, which the field calls an episode too"),
        ("inner step", "a stage of rollouts is collected with the policy so far, and the policy learns from it"),
        (
            "support",
            "the rollouts to be of the first stage: their score is what the adapted policy earns with the same "
            "random numbers",
        ),
        ("queries", "the rollouts that are scored, which nothing was learned from"),
        ("chance", "random actions"),
    ),
)
