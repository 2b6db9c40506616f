"""Presets, and how a TOML file overrides them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler
from sklearn.svm import SVC

from genrestack_training import SettingsError, build_scaler, build_stack, read_overrides, resolve_settings

Write = Callable[..., Path]


def test_the_notebook_preset_is_the_notebooks_stack() -> None:
    stack = build_stack("notebook")
    assert type(stack) is StackingClassifier
    assert [name for name, _ in stack.estimators] == ["knn", "svc", "mlp"]
    knn, svc, mlp = (estimator for _, estimator in stack.estimators)
    assert knn.get_params() == KNeighborsClassifier(n_neighbors=2, weights="distance", p=1).get_params()
    assert svc.get_params() == SVC(kernel="rbf", gamma="scale", C=200, probability=True).get_params()
    assert stack.final_estimator.get_params() == LogisticRegression().get_params()
    assert (stack.cv, stack.passthrough, stack.stack_method) == (5, True, "auto")
    assert mlp.epochs == 100
    assert mlp.batch_size == 64
    network = mlp.model(meta={"n_features_in_": 57, "n_classes_": 10}, hidden=(300,) * 5, activation="relu")
    assert mlp.get_params()["model__hidden"] == (300,) * 5
    assert (mlp.optimizer, mlp.get_params()["optimizer__learning_rate"]) == ("adam", 1e-4)
    assert [layer.units for layer in network.layers] == [300, 300, 300, 300, 300, 10]
    assert [layer.activation.__name__ for layer in network.layers] == ["relu"] * 5 + ["softmax"]
    assert network.input_shape == (None, 57)


def test_the_notebook_preset_has_nothing_that_the_notebook_has_not() -> None:
    """Not even a parameter that is zero: a kept fit is known by its parameters."""
    knn, svc, mlp = (estimator for _, estimator in build_stack("notebook", seed=3).estimators)
    assert (type(knn), type(svc)) == (KNeighborsClassifier, SVC)
    assert sorted(name for name in mlp.get_params() if name.startswith("model__")) == [
        "model__activation",
        "model__hidden",
    ]


@pytest.mark.parametrize(
    ("kind", "scaler"),
    [
        ("minmax", MinMaxScaler()),
        ("standard", StandardScaler()),
        ("robust", RobustScaler()),
        ("power", PowerTransformer()),
        ("quantile", QuantileTransformer(n_quantiles=80, output_distribution="normal", subsample=None)),
    ],
)
def test_scalers_are_scikit_learns(kind: str, scaler: Any) -> None:
    built = build_scaler(resolve_settings(overrides={"scaler": {"kind": kind}}), rows=80)
    assert built is not None
    assert type(built) is type(scaler)
    assert built.get_params() == scaler.get_params()


def test_a_calibrated_svc() -> None:
    svc = build_stack(overrides={"svc": {"calibration": "sigmoid", "C": 3}}, seed=3).estimators[1][1]
    assert type(svc) is CalibratedClassifierCV
    assert (svc.method, svc.ensemble, svc.cv.n_splits) == ("sigmoid", False, 3)
    assert svc.estimator.get_params() == SVC(C=3.0, gamma="scale").get_params()


def test_a_regularised_network() -> None:
    mlp = build_stack(overrides={"mlp": {"hidden": [20, 10], "dropout": 0.5, "noise": 0.1}}).estimators[2][1]
    parameters = {k.removeprefix("model__"): v for k, v in mlp.get_params().items() if k.startswith("model__")}
    network = mlp.model(meta={"n_features_in_": 4, "n_classes_": 3}, **parameters)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["GaussianNoise", "Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert (network.layers[0].stddev, network.layers[2].rate) == (0.1, 0.5)


def test_every_setting_can_be_overridden(write: Write) -> None:
    path = write(
        """
        [table]
        drop = ["a"]
        features = ["b*"]
        missing = "drop"
        [split]
        test_share = 0.3
        [scaler]
        kind = "quantile"
        distribution = "uniform"
        quantiles = 50
        fit_on = "all"
        normalize_gain = "on"
        [stack]
        estimators = ["svc", "knn"]
        folds = 3
        folds_by = "rows"
        passthrough = false
        [knn]
        n_neighbors = 4
        weights = "uniform"
        p = 2
        [svc]
        kernel = "poly"
        C = 10
        gamma = 0.5
        degree = 2
        coef0 = 1
        calibration = "sigmoid"
        calibration_folds = 4
        [mlp]
        hidden = []
        activation = "tanh"
        learning_rate = 1e-2
        epochs = 7
        batch_size = 8
        dropout = 0.5
        noise = 0.1
        [meta]
        C = 0.5
        max_iter = 500
        """,
        "settings.toml",
    )
    settings = resolve_settings(overrides=read_overrides(path))
    default = resolve_settings()
    for section in vars(settings):
        changed, before = vars(getattr(settings, section)), vars(getattr(default, section))
        assert [key for key in changed if changed[key] == before[key]] == [], section
    stack = build_stack(settings)
    assert [name for name, _ in stack.estimators] == ["svc", "knn"]
    assert stack.estimators[0][1].estimator.C == 10.0
    assert isinstance(settings.svc.C, float)
    assert (stack.cv, stack.passthrough, stack.final_estimator.max_iter) == (3, False, 500)


def test_epochs_is_a_shortcut_that_wins() -> None:
    assert resolve_settings(epochs=5).mlp.epochs == 5
    assert resolve_settings(overrides={"mlp": {"epochs": 9}}, epochs=5).mlp.epochs == 5
    assert resolve_settings("demo", epochs=5).mlp.hidden == resolve_settings("demo").mlp.hidden


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"knn": {"neighbors": 3}}, r"\[knn\] has no setting 'neighbors'; did you mean n_neighbors"),
        ({"tree": {}}, r"no section \[tree\]; the sections are \[table\], \[split\], \[scaler\], \[stack\], \[knn\]"),
        ({"epochs": 3}, "'epochs' stands outside a section"),
        ({"knn": {"n_neighbors": "three"}}, r"\[knn\] n_neighbors is 'three'; it must be a whole number, 1 or more"),
        ({"knn": {"n_neighbors": 0}}, "is 0; it must be a whole number, 1 or more"),
        ({"knn": {"n_neighbors": True}}, "is True; it must be a whole number, 1 or more"),
        ({"knn": {"p": 3}}, "is 3; it must be one of 1, 2"),
        ({"knn": {"weights": "near"}}, "is 'near'; it must be one of distance, uniform"),
        ({"svc": {"C": 0}}, "is 0.0; it must be a number above 0"),
        ({"svc": {"C": float("nan")}}, "is nan; it must be a number above 0"),
        ({"svc": {"gamma": "big"}}, "is 'big'; it must be scale, auto, or a number above 0"),
        ({"svc": {"gamma": -1}}, "is -1.0; it must be scale, auto, or a number above 0"),
        ({"split": {"test_share": 1}}, "is 1.0; it must be a number above 0 and below 1"),
        ({"mlp": {"hidden": 300}}, "is 300; it must be a list of whole numbers, 1 or more"),
        ({"mlp": {"hidden": [300, 0]}}, r"is \(300, 0\); it must be a list of whole numbers, 1 or more"),
        ({"mlp": {"hidden": [300.5]}}, "is 300.5; it must be a list of whole numbers, 1 or more"),
        ({"mlp": {"learning_rate": "fast"}}, "is 'fast'; it must be a number above 0"),
        ({"stack": {"estimators": []}}, r"is \(\); it must be a list of one or more of knn, svc, mlp, each once"),
        ({"stack": {"estimators": ["knn", "knn"]}}, r"is \('knn', 'knn'\); it must be"),
        ({"stack": {"estimators": ["tree"]}}, r"is \('tree',\); it must be"),
        ({"stack": {"passthrough": 1}}, "is 1; it must be true or false"),
        ({"scaler": {"kind": "log"}}, "must be one of minmax, standard, robust, power, quantile, none"),
        ({"mlp": {"dropout": 1.0}}, "is 1.0; it must be a number, 0 or more and below 1"),
        ({"mlp": {"noise": -0.1}}, "is -0.1; it must be a number, 0 or more"),
    ],
)
def test_what_cannot_be_is_named(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve_settings(overrides=overrides)


def test_unknown_preset_lists_what_there_is() -> None:
    with pytest.raises(SettingsError, match="no preset 'finest'; choose one of notebook, demo, best"):
        build_stack("finest")


def test_files_that_hold_no_settings(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"broken.toml is not TOML: .*line 2.*; write .*$"):
        read_overrides(write("[knn]\nk: 3\n", "broken.toml"))
    with pytest.raises(
        SettingsError, match=r"other.toml: \[knn\] has no setting 'k'; there are n_neighbors, p, weights"
    ):
        read_overrides(write("[knn]\nk = 3\n", "other.toml"))
    with pytest.raises(SettingsError, match=r"there is no file .*absent.toml; check the path"):
        read_overrides(tmp_path / "absent.toml")
