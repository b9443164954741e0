import pytest

from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.errors import UserError
from dgreid.schema import modules, validate

NODE = {"name": "mine", "title": "Mine", "parser": "viper", "access": "open"}


def test_the_module_that_a_data_set_names_is_its_parser():
    assert set(modules(validate(DatasetConfig, NODE))) == {"dgreid.datasets.parsers.viper"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"access": "free"}, "access"),
        ({"expect": {"images": "many"}}, r"expect\.images"),
        ({"expect": {"images": -1}}, r"expect\.images"),
        ({"titel": "Mine"}, "did you mean 'title'"),
        ({"title": "two\nlines"}, "title"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(changes, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        validate(DatasetConfig, NODE | changes)
    assert "\n" not in str(caught.value)


def test_shipped_data_sets_say_where_to_ask_or_are_generated(root):
    assert load_dataset("viper").home.startswith("http")
    assert load_dataset("mini_grid").miniature and not load_dataset("grid").miniature
