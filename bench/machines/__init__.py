"""One image in three forms: that it does the same in each, and what the machines cost (issue 5's bars)."""
