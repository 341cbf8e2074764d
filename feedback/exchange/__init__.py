"""Annotated data in and out: one file a form. It reads and writes files; what is stored of them goes through the desk's own checks."""
