import pytest

from dgreid.errors import UserError
from dgreid.networks.config import BackboneOptions, IbnOptions
from dgreid.schema import modules, validate

NODE = {"name": "mine", "architecture": "resnet"}


def test_the_modules_that_options_name_are_the_architecture_and_its_norms():
    assert set(modules(validate(BackboneOptions, NODE))) == {"dgreid.networks.backbones.resnet"}
    assert set(modules(validate(IbnOptions, NODE))) == {"dgreid.networks.backbones.resnet"}
    found = set(modules(validate(IbnOptions, NODE | {"ibn": "a"})))
    assert found == {"dgreid.networks.backbones.resnet", "dgreid.networks.norms.ibn"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ibn_weights": "fresh"}, "ibn_weights has no effect without ibn: set ibn to a or b"),
        ({"ibn": "c"}, "ibn"),
        ({"running_statistics": "none"}, "running_statistics"),
    ],
)
def test_a_mistake_is_one_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        validate(IbnOptions, NODE | changes)
    assert "\n" not in str(caught.value)
