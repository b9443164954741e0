import torch

from dgreid.images.batch import Batch

LABELS = torch.arange(4), torch.tensor([0, 1, 0, 1])


def test_a_part_of_a_batch_keeps_its_views_and_rows_together():
    images, strong = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    batch = Batch(images, *LABELS, (images, strong), torch.arange(10, 14))
    assert batch.size == 8
    for part, places in (
        (batch.select(torch.tensor([True, False, False, True])), [0, 3]),
        (batch.select(torch.tensor([3, 1])), [3, 1]),
        (batch.of_domain(1), [1, 3]),
    ):
        assert torch.equal(part.images, images[places]) and part.images is part.views[0]
        assert torch.equal(part.views[1], strong[places]) and part.rows.tolist() == [10 + i for i in places]
        assert part.identities.tolist() == places and part.size == 4


def test_a_batch_needs_neither_views_nor_rows():
    batch = Batch(torch.randn(4, 3, 2, 2), *LABELS)
    assert batch.size == 4
    part = batch.of_domain(0)
    assert part.views == () and part.rows is None and torch.equal(part.images, batch.images[[0, 2]])
