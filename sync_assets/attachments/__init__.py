"""Attached files, from bytes to texts: `read_file` in `process.py`.

What belongs here: which kind a file is, how its text is read, and what keeps a hostile or broken file from doing harm.
What does not: where files come from and where their texts go (`stages/`). Nothing here opens a database or the network.
"""
