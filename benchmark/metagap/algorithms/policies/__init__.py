"""Policies for tasks that answer back: one file each; actor.py says what acts, learner.py what learns by gradients."""
