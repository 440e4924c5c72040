"""Pages, figures and tables made from the numbers of `benchmark.analysis`; imports no torch."""
