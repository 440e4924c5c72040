"""`metagap check`: the examination of an algorithm, as a reviewer would make it; a file for each thing to look at."""
