"""`metagap new`: what a project of one's own begins with."""
