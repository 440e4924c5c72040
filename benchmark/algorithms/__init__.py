"""Meta-learning algorithms, one file each, written for one task; the contract is in `base`."""
