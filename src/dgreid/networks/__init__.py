"""Feature extractors, normalisation layers, the neck, and ImageNet weights."""
