"""Bringing a data set: recognise an archive or folder, check it, extract or link it."""
