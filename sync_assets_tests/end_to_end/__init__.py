"""Processes as an operator starts them, against the demo company's servers."""
