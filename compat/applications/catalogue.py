"""The applications, in the order in which they are played and shown."""

APPLICATIONS = []
