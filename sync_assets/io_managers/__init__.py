"""Dagster's IO managers: where the batches between the stages are kept."""
