"""Keep vector stores in step with the systems where a company's support knowledge lives."""
