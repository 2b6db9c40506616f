"""What training contributes to `genrestack doctor`."""

import pytest

from genrestack_training.doctor import findings, keras


def test_here() -> None:
    assert [row[:2] for row in findings(None)] == [("keras", "ok")]


@pytest.mark.parametrize(
    ("environ", "state", "advice"),
    [
        ({}, "ok", ""),
        ({"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0"}, "ok", ""),
        ({"KERAS_BACKEND": "jax"}, "problem", "unset KERAS_BACKEND"),
        ({"TF_USE_LEGACY_KERAS": "1"}, "problem", "unset TF_USE_LEGACY_KERAS"),
    ],
    ids=["nothing", "usual", "jax", "legacy"],
)
def test_variables(environ: dict[str, str], state: str, advice: str) -> None:
    subject, found_state, _, found_advice = keras(environ)
    assert (subject, found_state, found_advice) == ("keras", state, advice)
