"""Drawn people: a deterministic renderer and one writer per real data set's raw layout."""
