"""A quantity: how much adaptation lowers the loss on the queries."""

from metagap.quantities import Quantity


def measure(watched):
    """Query loss before minus after adaptation, one value for each test task."""
    algorithm = watched.algorithm

    def loss(meta, episode, steps):
        fast = algorithm.adapt(meta, episode.support, steps)
        return algorithm.loss(algorithm.predict(fast, episode.query_x), episode.query_y)

    def one_task(meta, episode):
        return loss(meta, episode, 0) - loss(meta, episode, watched.steps)

    return watched.each(one_task, watched.target(watched.episodes))


LOSS_DROP = Quantity(
    name="loss-drop",
    about="How much adaptation lowers the loss on the queries; where it is large, the inner loop does the work.",
    citation="none",
    cost="two adaptations per episode",
    measure=measure,
    applies=lambda watched: watched.no_inner_steps,
)


if __name__ == "__main__":
    from metagap.cli import app

    asked = ["--set", f'evaluation.quantities=["{__file__}:LOSS_DROP"]', "--set", "evaluation.checkpoints=2"]
    app(["run", "quickstart", "-a", "maml", "-s", "0", "--iterations", "50", *asked])
