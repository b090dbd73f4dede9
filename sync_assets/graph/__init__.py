"""The knowledge graph: what the documents of a tenant say of each other, with the evidence for it.

A node or an edge is there because of evidence: a field of a record, or a place in a text. Evidence belongs to a
document and goes with it; what has none left goes too. So the graph follows from the documents as they are now,
whatever their history. Modules:

- `evidence.py`: the rows that everything else makes or reads.
- `extraction.py`: from texts to evidence, by names (`gazetteer.py`, `matching.py`), patterns (`rules.py`) and installed
  statistical pipelines (`pipelines.py`); `mentions.py` says what a mention means.
- `tables.py`, `store*.py`: evidence, nodes and edges in SQL; `bulk.py` writes them.
- `applying.py`: a batch of changed documents brought into the store. `health.py`: whether it holds together.
- `resolution.py`: entities that are the same, by what they are called (`naming.py`) and how alike they are
  (`likeness.py`). `similarity.py`: documents that are alike.
- `loading.py`, `analysis.py`, `export.py`: the graph as a networkx multigraph, and what people want of it. `view.py`,
  `picture.py`, `quotes.py`: a neighbourhood to look at.
"""
