"""Pages, figures and tables made from the numbers of `metagap.analysis`; imports no torch."""
