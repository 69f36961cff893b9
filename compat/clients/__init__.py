"""The test suites of client libraries, which nobody here wrote, against any broker."""
