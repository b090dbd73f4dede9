"""The demo company: three invented companies' support systems, served with the vendors' own wire protocols.

What belongs here: simulators that speak a vendor's protocol, and the content that they serve. Nothing of the pipeline
imports this package; it is what `sync-assets demo`, the tests and the benchmarks read from.
"""
