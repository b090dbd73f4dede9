"""The chain and its IO managers, run by Dagster."""
