"""metagap: how far does a meta-learner generalize?"""

__version__ = "0.1.0"
