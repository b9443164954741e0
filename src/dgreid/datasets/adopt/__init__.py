"""Adopting a data set: find an archive or folder, check it, extract or link it, record it."""
