"""What leans on the insides of torch, Python and the C library: one file each, and nowhere else in the package.

Each says on which versions it was checked, what it uses that nobody promised to keep, and the public way that is taken
where that is gone. A test switches each of them off and finds the same numbers.
"""
