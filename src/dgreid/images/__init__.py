"""From image files to training batches: packs, augmentation, samplers, loader."""
