"""What `compare`, `backlog` and `plots.py` share: figures and goals, the table's rows, the scaling series, reports."""
