"""What users of learn2learn bring: its learners as algorithms, its tasksets as sources."""
