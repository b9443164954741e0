import pytest

from dgreid.reporting.site.material import Paper

MEASURED, COUNTED = '<tr class="measured"></tr>', '<tr class="counted"></tr>'


def test_a_papers_title_is_taken_apart():
    paper = Paper("t9", "MetaBIN, Table 9. Cost of training. ", "")
    assert (paper.document, paper.short, paper.about) == ("MetaBIN", "MetaBIN, Table 9", "Cost of training")


@pytest.mark.parametrize(
    ("fragment", "state"),
    [
        ("", "nothing measured on full data yet"),
        (MEASURED, "1 line measured on full data"),
        (MEASURED * 2 + COUNTED, "2 lines measured on full data, 1 network counted from the code"),
        (COUNTED * 3, "nothing measured on full data yet, 3 networks counted from the code"),
    ],
)
def test_a_table_says_how_much_of_it_is_measured(fragment, state):
    assert Paper("t9", "MetaBIN, Table 9.", fragment).state == state


def test_material_has_the_differences_of_all_its_blocks(root, make, gather):
    made = [make(method, 0, score) for method, score in (("erm", 40.0), ("metabin", 45.0))]
    material = gather(made)
    assert material.gaps == [gap for block in material.blocks for gap in block.gaps] != []
