"""A self-test of the metrics on the user's own machine, and a survey of that machine: `ganzoo doctor`.

`checks` are pure functions that end in a `Check`, `golden` holds the numbers to which the shipped classifiers are held,
`survey` says what is there, and `examine` runs it all.
"""
