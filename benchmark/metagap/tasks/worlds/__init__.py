"""Worlds that come with metagap, a family in each file."""
