"""A method that embeds an image by its mean colour, and rows of a protocol's targets."""

import pandas as pd
import torch

from dgreid.methods.base import Method


class Means(Method):
    """Embeds an image by its mean colour; counts the images it has seen."""

    def __init__(self):
        super().__init__(None, None, None)
        self.norm = torch.nn.BatchNorm1d(3)
        self.seen = 0

    def embed(self, images):
        self.seen += len(images)
        return self.norm(images.mean(dim=(2, 3)))


def frame(dataset, rows, camera):
    return pd.DataFrame(
        {
            "dataset": dataset,
            "image_id": [f"{dataset}/{row}" for row in rows],
            "row": rows,
            "identity": [row // 2 for row in rows],  # images 2k and 2k + 1 show identity k
            "camera": camera,
        }
    )
