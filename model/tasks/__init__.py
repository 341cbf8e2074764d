"""One file a task type; each file registers one Task (see model/task.py)."""
