"""The examination of a source before anything is trained on it; a file for each thing to look at."""
