"""Every kind of classifier and transformer that an export is held against."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA, KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

NAMES = list("abcdef")
Make = Callable[[], Any]


def logistic() -> Any:
    return LogisticRegression(max_iter=300)


def _knn(**options: Any) -> Make:
    return lambda: KNeighborsClassifier(weights="distance", **options)


def _calibrated(make: Make, method: str, *, ensemble: bool = True) -> Make:
    return lambda: CalibratedClassifierCV(make(), cv=2, method=method, ensemble=ensemble)


def stack_of(*members: Make, final: Make = logistic, **options: Any) -> Make:
    return lambda: StackingClassifier(
        [(f"m{i}", make()) for i, make in enumerate(members)], final(), **{"cv": 2} | options
    )


def _quadratic() -> Any:
    return QuadraticDiscriminantAnalysis(reg_param=0.1)


MODELS: dict[str, Make] = {
    "logistic": logistic,
    "logistic, searched": lambda: LogisticRegressionCV(Cs=3, cv=2, max_iter=300),
    "sgd": lambda: make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    "sgd, modified huber": lambda: make_pipeline(StandardScaler(), SGDClassifier("modified_huber", random_state=0)),
    "mlp": lambda: MLPClassifier((8, 4), activation="tanh", max_iter=20, random_state=0),
    "tree": lambda: DecisionTreeClassifier(max_depth=4, random_state=0),
    "forest": lambda: RandomForestClassifier(15, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(15, min_samples_leaf=3, random_state=0),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=8, random_state=0),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=8, random_state=0),
    "adaboost": lambda: AdaBoostClassifier(n_estimators=8, random_state=0),
    "adaboost of logistic": lambda: AdaBoostClassifier(logistic(), n_estimators=3, random_state=0),
    "bagging": lambda: BaggingClassifier(n_estimators=4, max_features=0.6, random_state=0),
    "gaussian": GaussianNB,
    "bernoulli": BernoulliNB,
    "multinomial": lambda: make_pipeline(MinMaxScaler(), MultinomialNB()),
    "complement": lambda: make_pipeline(MinMaxScaler(), ComplementNB()),
    "lda": LinearDiscriminantAnalysis,
    "qda": _quadratic,
    "calibrated, sigmoid": _calibrated(SVC, "sigmoid"),
    "calibrated, one": _calibrated(SVC, "sigmoid", ensemble=False),
    "calibrated, isotonic": _calibrated(LinearSVC, "isotonic"),
    "calibrated qda": _calibrated(_quadratic, "sigmoid"),
    "calibrated, forest": _calibrated(lambda: RandomForestClassifier(5, random_state=0), "isotonic"),
    "one vs rest": lambda: OneVsRestClassifier(logistic()),
    "one vs rest, liblinear": lambda: OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    "one vs rest of svc": lambda: OneVsRestClassifier(SVC(probability=True, random_state=0)),
    "votes": lambda: VotingClassifier(
        [("a", KNeighborsClassifier()), ("b", GaussianNB())], voting="soft", weights=[1, 2]
    ),
    "svc": lambda: SVC(probability=True, random_state=0),
    "nu svc": lambda: NuSVC(nu=0.2, probability=True, random_state=0),
    "knn": KNeighborsClassifier,
    "knn cosine": _knn(metric="cosine"),
    "knn chebyshev": _knn(metric="chebyshev"),
    "knn p=3": _knn(p=3),
    "knn p=1.5": _knn(p=1.5),
    "knn sqeuclidean": _knn(metric="sqeuclidean"),
    "stack in a stack": stack_of(stack_of(KNeighborsClassifier, LinearSVC), GaussianNB),
    "stack, decisions": stack_of(SVC, LogisticRegression, _quadratic, stack_method="decision_function"),
    "stack, predictions": stack_of(SVC, KNeighborsClassifier, stack_method="predict"),
    "stack, forest at the end": stack_of(GaussianNB, final=lambda: RandomForestClassifier(9, random_state=0)),
    "stack, knn at the end": stack_of(
        GaussianNB, SVC, final=lambda: make_pipeline(StandardScaler(), KNeighborsClassifier())
    ),
    "stack, passthrough": stack_of(lambda: make_pipeline(StandardScaler(), PCA(3), GaussianNB()), passthrough=True),
}

TRANSFORMERS: dict[str, Make] = {
    "max abs": MaxAbsScaler,
    "normalizer": Normalizer,
    "pca": lambda: PCA(3, whiten=True),
    "columns": lambda: ColumnTransformer(
        [("a", StandardScaler(), [4, 1]), ("b", "drop", [2])], remainder="passthrough"
    ),
    "bins": lambda: KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
    "polynomial": lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2)),
    "power": PowerTransformer,
    "quantile": lambda: QuantileTransformer(n_quantiles=50),
    "best": lambda: SelectKBest(k=3),
    "variance": lambda: VarianceThreshold(0.5),
    "kernel pca": lambda: make_pipeline(StandardScaler(), KernelPCA(3, kernel="rbf")),
    "random projection": lambda: GaussianRandomProjection(3, random_state=0),
}


def draw_kind(classes: int) -> tuple[Any, Any]:
    """Draw 260 rows of six columns of very different sizes, with text for labels."""
    rows, codes = make_classification(
        260, 6, n_informative=5, n_redundant=0, n_classes=classes, flip_y=0.05, random_state=1
    )
    return rows * [1, 10, 100, 0.1, 1, 1] + [0, 5, 0, 0, 1, 0], np.array(["d", "a", "c", "b"])[codes]
