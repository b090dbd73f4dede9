"""The laws of the design as properties of the plain-Python core, over every store."""
