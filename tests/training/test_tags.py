"""What tags are worth on artists that the stack has not heard, by the commands of the documentation."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from genrestack_training import load_predictions
from genrestack_training.cli.train import train
from tools.compare_songs import compare


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_tags_are_worth_fifteen_points_by_artist(shared_data: Path, tmp_path: Path) -> None:
    """Of 57 numbers and 50 tags of the same windows; the tagger very likely knows some of these artists."""
    numbers = pd.read_csv(shared_data / "features_3_sec.csv.gz")
    tags = pd.read_csv(shared_data / "tags_gtzan.csv.gz").drop(columns="label")
    table = tmp_path / "both.csv"
    numbers.merge(tags, on="filename").to_csv(table, index=False)
    groups = shared_data / "gtzan_artist_groups.csv"
    words = ["--preset", "best", "--split", "artist", "--groups", groups, "--compare", "none"]
    words += ["--seed", 42, "--normalize-gain", "off", "--models", tmp_path / "models"]
    for name, choice in (("numbers", "--drop"), ("tags", "--features")):
        given = [table, *words, choice, "tag_*", "--name", name, "--run", tmp_path / name]
        result = CliRunner().invoke(train, [str(word) for word in given])
        assert result.exit_code == 0, result.output
    found = compare(*(load_predictions(tmp_path / name)["evaluation"] for name in ("numbers", "tags")))
    assert found.songs > 100
    assert found.difference.value >= 0.15
    assert found.difference.lower is not None
    assert found.difference.lower > 0.05
