"""The miniature data sets: a deterministic renderer of people, and one writer per raw layout."""
