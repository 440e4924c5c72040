"""The command `metagap reproduce`: a table of a paper, run where it is missing, and compared with what was published.

`tables` are the table files, `reading` finds what the store has of one, and `report.reproduction` shows it: none of
these needs torch. `running` runs what is missing, and says beforehand what that takes.
"""
