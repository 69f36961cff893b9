"""The suites, in the order in which they are played and listed."""

SUITES = []
