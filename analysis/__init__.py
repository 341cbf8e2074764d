"""What the log means: reads, computes, never writes. Imports feedback only."""
