import re

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgreid.errors import UserError
from dgreid.evaluation.queries import SCHEMA, as_percent, read_scores

FRAME = pd.DataFrame(
    {
        "target": ["GRID"] * 3,
        "split": [0, 0, 1],
        "query": ["a/1", "a/2", "a/1"],
        "average_precision": [0.5, None, 1.0],
        "first_hit": [2, 0, 1],
    }
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("queries") / "erm-tiny-toy-s0.parquet"
    FRAME.to_parquet(path)
    return path


def test_a_whole_file_is_read(path):
    assert as_percent(read_scores(path))["rank1"].fillna(-1).to_list() == [0, -1, 100]


SENTENCE = (
    r"erm-tiny-toy-s0\.parquet is (missing or )?damaged: "
    r"evaluate the run again with `dvc repro evaluate@erm-tiny-toy-s0`\.$"
)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cut_or_changed_file_is_read_or_refused_in_a_sentence(path, tmp_path_factory, data):
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path_factory.mktemp("damaged") / path.name
    damaged.write_bytes(content)
    try:
        as_percent(read_scores(damaged))
    except UserError as error:
        assert re.search(SENTENCE, str(error))


def test_what_pandas_notes_in_a_file_does_not_rename_its_columns(path, tmp_path):
    table = pq.read_table(path)
    notes = {key: value.replace(b'"query"', b'" uery"') for key, value in table.schema.metadata.items()}
    pq.write_table(table.replace_schema_metadata(notes), tmp_path / path.name)
    assert as_percent(read_scores(tmp_path / path.name)).equals(as_percent(read_scores(path)))


@pytest.mark.parametrize(
    "changes",
    [
        {"average_precision": [2.0, 0.0, 0.0]},
        {"average_precision": [-1.0, 0.0, 0.0]},
        {"average_precision": ["a", "b", "c"]},
        {"first_hit": [-1, 0, 1]},
        {"first_hit": ["1", "2", "3"]},
        {"split": ["a", "b", "c"]},
    ],
)
def test_values_that_no_evaluation_gives_are_damage(path, tmp_path, changes):
    other = tmp_path / path.name
    FRAME.assign(**changes).to_parquet(other)
    with pytest.raises(UserError, match=SENTENCE):
        as_percent(read_scores(other))


def test_an_empty_table_or_one_without_a_column_is_damage(path, tmp_path):
    other = tmp_path / path.name
    pq.write_table(SCHEMA.empty_table(), other)
    with pytest.raises(UserError, match=SENTENCE):
        as_percent(read_scores(other))
    FRAME.drop(columns="query").to_parquet(other)
    with pytest.raises(UserError, match=SENTENCE):
        as_percent(read_scores(other))
