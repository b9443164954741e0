"""An option that nothing reads is refused by name, as are norms on a network that has none."""

import pytest

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.runs.config import load_run
from helpers import tiny

WITHOUT = {"consistency_weight": 0}  # and without L_align no loss of distributions is left


@pytest.mark.parametrize(
    ("method", "changes", "named"),
    [
        ("erm", {"gate_learning_rate": 0.2}, "gate_learning_rate means nothing with batch norms"),
        ("erm_ce", {"margin": 0.5}, "margin means nothing without the loss triplet"),
        ("mldg", {"gate_learning_rate": 0.2}, "gate_learning_rate"),
        ("metabin_joint", {"first_iteration_base_steps": 3}, "means nothing with method.base_step=joint"),
        ("m3l_baseline", {"meta_grad": "maml"}, "meta_grad means nothing without meta-learning"),
        ("m3l_no_metabn", {"std": "deviation"}, "std means nothing without MetaBN"),
        (
            "m3l_global_fc",
            {"temperature": 0.1},
            "temperature means nothing with method.identification",
        ),
        ("m3l_memory_only", {"margin": 0.5}, "margin means nothing without the triplet loss"),
        ("mldg_ce", {"margin": 0.5}, "margin means nothing without the loss triplet"),
        ("mldg", {"cycle_epochs": 3}, "cycle_epochs means nothing with a fixed step"),
        ("metabin_fixed", {"cycle_epochs": 3}, "cycle_epochs means nothing with a fixed step"),
        (
            "lda",
            {"an_mode": "pre_bn", "an_partner": "sample"},
            "an_partner means nothing with method.an_mode=",
        ),
        (
            "lda_no_alignment",
            WITHOUT | {"latent_weights": "uniform"},
            "latent_weights .*without L_consis and",
        ),
        (
            "lda_no_alignment",
            WITHOUT | {"latent_leaves_own_out": True},
            "latent_leaves_own_out .*without L_consis",
        ),
        (
            "lda_no_consistency",
            {"alignment_weight": 0, "distribution_warmup_epochs": 3},
            "distribution_warmup_ep",
        ),
        ("lda_no_anti", {"an_partner": "sample"}, "an_partner means nothing without Anti-Normalisation"),
    ],
)
def test_an_option_that_nothing_reads_is_refused(root, method, changes, named):
    words = [f"method={method}", "backbone=resnet_tiny", "protocol=miniature"]
    load_run(words)  # as shipped it is fine
    with pytest.raises(UserError, match=named):
        load_run([*words, *(f"method.{name}={value}" for name, value in changes.items())])


def test_options_of_another_architecture_or_without_effect_are_refused():
    with pytest.raises(UserError, match=r"resnet18\.width"):
        backbones.read(tiny.read("backbone", "resnet18") | {"width": 2.0})
    with pytest.raises(UserError, match="resnet_tiny: ibn_weights has no effect without ibn"):
        backbones.read(tiny.read("backbone", "resnet_tiny") | {"ibn_weights": "fresh"})


def test_a_mapping_is_overridden_by_its_entries(root):
    words = ["method=metabin_ce", "backbone=resnet_tiny", "protocol=miniature"]
    with pytest.raises(UserError, match="override its entries one by one"):
        load_run([*words, "method.meta_train_losses={triplet: 1.0}"])
    run = load_run([*words, "method.meta_train_losses.cross_entropy=0.5"])
    assert run.method.meta_train_losses == {"cross_entropy": 0.5}
