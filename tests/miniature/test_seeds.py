import numpy as np

from dgreid.miniature.seeds import generator, pick


def test_a_name_is_a_stream():
    assert generator(0, "a", 1).random(4).tolist() == generator(0, "a", 1).random(4).tolist()


def test_names_do_not_run_into_each_other():
    keys = [(0, "a", 1), (0, "a", "1"), (0, "a1"), (1, "a", 1), (0, "b", 1), (0, "a", 1, 0)]
    assert len({generator(*key).random() for key in keys}) == len(keys)


def test_known_value():  # a changed hash or generator would silently redraw every data set
    assert generator(0, "mini_grid", "person", 7).integers(1 << 30) == 607340624


def test_pick_follows_the_weights():
    rng = np.random.default_rng(0)
    drawn = [pick(rng, {"a": 3, "never": 0, "b": 1}) for _ in range(2000)]
    assert "never" not in drawn
    assert 0.7 < drawn.count("a") / 2000 < 0.8
