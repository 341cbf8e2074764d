"""Which predictions are visitors' own, as a condition in SQL: not asked of them, and not of a feed, a file or the app itself."""

OF_VISITORS = (
    "NOT forced AND NOT starts_with(contributor, 'feed:') AND NOT starts_with(contributor, 'import:') "
    "AND NOT starts_with(contributor, 'policy:')"
)
"""Over the columns of `predictions`."""
