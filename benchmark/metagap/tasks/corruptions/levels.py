"""Where the levels of corruptions are from."""

from __future__ import annotations

HENDRYCKS = (
    "Hendrycks, Dietterich (2019), Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, "
    "with the levels of ImageNet-C"
)
OURS = "the levels are our own"
