"""Asset checks: what trips them, and what they say."""
