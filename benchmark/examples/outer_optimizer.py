"""An outer optimizer: Adam with decoupled weight decay."""

import torch
from metagap.optimizers import OuterOptimizer


def make(parameters, lr, eps=1e-8):
    on_gpu = parameters[0].is_cuda
    return torch.optim.AdamW(parameters, lr=lr, eps=eps, weight_decay=0.01, capturable=on_gpu)


ADAMW = OuterOptimizer(
    name="adamw",
    about="Adam with a decoupled weight decay of 0.01 (Loshchilov & Hutter 2019).",
    make=make,
    options=("eps",),
)


if __name__ == "__main__":
    from metagap.cli import app

    app(
        [
            "run",
            "quickstart",
            "--set",
            f"training.optimizer={__file__}:ADAMW",
            "-a",
            "maml",
            "-s",
            "0",
            "--iterations",
            "50",
        ]
    )
