"""What people saw, said and agreed on: the only memory of a demo. Imports nothing of ours."""
