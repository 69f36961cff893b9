"""Scenarios, one file a behaviour."""
