"""Meta-learners of policies, for tasks that answer back: one file each; the contract is learner.py."""
