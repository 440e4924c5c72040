"""Networks: plain modules that know nothing of meta-learning.

A model is made from the shape of one input and the number of outputs, and consists of `features` and a linear `head`.
"""
