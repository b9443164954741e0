"""From image files to training batches: packs, samplers, augmentation, loader."""
