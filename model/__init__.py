"""Tasks, training, versions and serving. Imports feedback; never the analysis, never a database."""
