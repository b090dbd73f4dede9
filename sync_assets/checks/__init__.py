"""Asset checks: what tells whether data can be trusted, beside the counts of a run."""
