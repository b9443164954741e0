"""The memory of identities, against the released rule: three matrices, image by image."""

import pytest
import torch

from dgreid.methods.parts.similarity_memory import SimilarityMemory

CLASSES, CHANNELS = 5, 3


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_it_equals_the_running_mean_image_by_image(share):
    torch.manual_seed(0)
    memory = SimilarityMemory(CLASSES, CHANNELS).double()
    means, current, last = (torch.zeros(CLASSES, CHANNELS, dtype=torch.float64) for _ in range(3))
    for epoch in range(4):
        alpha = share if epoch else 0.0
        memory.begin_epoch()
        last, counts = means.clone(), [0] * CLASSES
        for _ in range(3):
            features, identities = torch.rand(4, CHANNELS).double(), torch.randint(CLASSES - 1, (4,))
            memory.update(features, identities, alpha)
            for x, y in zip(features, identities.tolist(), strict=True):
                counts[y] += 1
                current[y] = current[y] * (counts[y] - 1) / counts[y] + x / counts[y]
                means[y] = alpha * last[y] + (1 - alpha) * current[y]
        torch.testing.assert_close(memory.means, means)
    assert (memory.means[-1] == 0).all()  # it never appeared


def test_the_nearest_are_the_most_similar_of_those_that_count():
    memory = SimilarityMemory(CLASSES, 2)
    memory.update(torch.tensor([[1.0, 0], [9, 1], [1, 1], [0, 5]]), torch.tensor([0, 1, 2, 3]), 0.0)
    comparable = torch.tensor([[True] * 5, [False, True, True, False, True]])
    features = torch.tensor([[2.0, 0], [2, 0]])
    identities, there = memory.nearest(features, comparable, 3)
    assert identities[0].tolist() == [0, 1, 2] and there[0].all()
    assert identities[1, :2].tolist() == [1, 2]  # a mean's length does not matter
    assert there[1].tolist() == [True, True, False]  # the last one never appeared
    assert memory.nearest(features, comparable, 100)[0].shape == (2, CLASSES)


def test_it_holds_no_more_than_two_matrices_of_identities_and_features():
    memory = SimilarityMemory(1000, 64)
    assert sum(value.numel() for value in memory.state_dict().values()) == 2 * 1000 * 64 + 1000
