"""A metric: the share of queries whose class is among the two greatest logits."""

from metagap.metrics import Margin, Metric


def top_two(output, y):
    """Of logits (n, ways) and class indices (n,) of one task; shape ()."""
    return (output.topk(2).indices == y[:, None]).any(-1).to(output.dtype).mean()


TOP_TWO = Metric(
    name="top-two",
    label="top-2 accuracy",
    about="The share of queries whose class has one of the two greatest logits.",
    kinds=("classification",),
    function=top_two,
    higher_is_better=True,
    bounds=(0, 1),
    chance=lambda ways: 2 / ways,
    unit="%",
    scale=100,
    margin=Margin(0.01),
)


if __name__ == "__main__":
    import torch

    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    print(TOP_TWO.score(float(top_two(logits, torch.tensor([1, 2])))), TOP_TWO.unit)
