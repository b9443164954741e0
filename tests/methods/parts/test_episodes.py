import pytest
import torch

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.losses import (
    batch_hard_triplet,
    inter_domain_shuffle,
    intra_domain_scatter,
    smoothed_cross_entropy,
)
from dgreid.methods.base import Task
from dgreid.methods.parts import episodes


@pytest.mark.parametrize(("domains", "expected"), [(2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_the_domains_train_rounded_up_unless_a_number_is_asked_for(domains, expected):
    assert episodes.meta_train_share(None, domains) == expected
    assert episodes.meta_train_share(1, domains) == 1


def test_a_domain_is_left_for_the_meta_test():
    with pytest.raises(UserError, match=r"trains on 3 domains .* has 3: lower method\.meta_train_domains"):
        episodes.meta_train_share(3, 3)


def test_a_split_parts_the_batch_by_domains_at_random():
    domains = torch.tensor([0, 2, 1, 2, 0, 1])
    batch, seen = Batch(torch.arange(6), torch.arange(6), domains), set()
    for _ in range(60):
        train, test = episodes.split_domains(batch, 2, 3)
        (left_out,) = set(test.domains.tolist())
        assert torch.equal(test.images, torch.nonzero(domains == left_out)[:, 0])
        assert torch.equal(train.images, torch.nonzero(domains != left_out)[:, 0])
        seen.add(left_out)
    assert seen == {0, 1, 2}


def test_the_cycle_has_advanced_before_it_is_first_read():
    task = Task(2, 2, 100, 10)
    found = [episodes.cyclic(iteration, 0.0, 1.0, 0.4, task) for iteration in range(4)]
    assert found == pytest.approx([0.5, 1.0, 0.5, 0.0])  # a period of four iterations


def test_a_fixed_step_reads_no_length_of_a_cycle():
    assert [name for name, _ in episodes.unread_of_cycle(0.1, 0.1)] == ["cycle_epochs"]
    assert not list(episodes.unread_of_cycle(0.1, 0.2))


def test_only_the_named_losses_are_computed_and_summed_with_their_weights():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    batch = Batch(features, torch.arange(4).repeat_interleave(2), torch.arange(2).repeat_interleave(4))

    class Network:
        def logits(self, features):
            return 2 * features

    expected = {
        "cross_entropy": smoothed_cross_entropy(2 * features, batch.identities, 0.1),
        "triplet": batch_hard_triplet(features, batch.identities, 0.3),
        "scatter": intra_domain_scatter(features, batch.domains),
        "shuffle": inter_domain_shuffle(features, batch.identities, batch.domains),
    }
    found = episodes.named_losses(Network(), features, batch, expected, 0.1, 0.3)
    assert list(found) == list(expected)
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss)
    weights = {"scatter": 2.0, "triplet": 0.5}
    total = episodes.weighted_loss(Network(), features, batch, weights, 0.1, 0.3)
    torch.testing.assert_close(total, 2 * expected["scatter"] + 0.5 * expected["triplet"])
