"""The HTTP API, asked as its clients ask it."""
