"""The HTTP API that `sync-assets serve` serves: search, jobs, purges, health and metrics.

What belongs here: keys, limits, requests and answers. What is done with them is in `search`, `jobs/` and `forgetting/`.
Only what `serve` runs imports this package.
"""
