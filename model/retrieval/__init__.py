"""Finding the entry of a catalogue that answers a question: on embeddings of a frozen base, with BM25 beside them."""
