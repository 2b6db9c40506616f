"""What the search may choose from; what narrowed it down to this is told in docs/preset-best.md."""

from dataclasses import dataclass

from tools.preset_search.network import NetworkOptions

SCALERS: dict[str, dict[str, str]] = {
    "power": {"kind": "power"},
    "normal": {"kind": "quantile", "distribution": "normal"},
}


@dataclass(frozen=True)
class Knn:
    """`KNeighborsClassifier(weights="distance", p=1)`."""

    n_neighbors: int


@dataclass(frozen=True)
class Svc:
    """`SVC(kernel="rbf")`; gamma in parts of what scikit-learn calls "scale", 1/(features · variance)."""

    C: float
    gamma: float


@dataclass(frozen=True)
class Mlp:
    """A network and how long it learns."""

    options: NetworkOptions
    epochs: int


Part = Knn | Svc | Mlp


@dataclass(frozen=True)
class Meta:
    """`LogisticRegression` over the parts' probabilities, and over the scaled features with passthrough."""

    C: float
    passthrough: bool


SMALL = NetworkOptions((256,), dropout=0.5)
NOISY = NetworkOptions((256,), dropout=0.5, noise=0.5)
WIDE = NetworkOptions((512,), dropout=0.7)
# What the scalers are compared with.
FIRST: dict[str, Part] = {"knn": Knn(20), "svc": Svc(3.0, 0.3), "mlp": Mlp(SMALL, 20)}
GRIDS: dict[str, tuple[Part, ...]] = {
    "knn": (Knn(10), Knn(20), Knn(40)),
    "svc": (Svc(1.0, 0.9), Svc(3.0, 0.3), Svc(3.0, 0.6), Svc(10.0, 0.1), Svc(10.0, 0.3), Svc(30.0, 0.1)),
    "mlp": (
        *(Mlp(SMALL, epochs) for epochs in (10, 20, 40, 80)),
        Mlp(NOISY, 30),
        *(Mlp(WIDE, epochs) for epochs in (15, 30, 60)),
    ),
}
METAS = (*(Meta(C, passthrough=False) for C in (0.01, 0.1, 1.0)), *(Meta(C, passthrough=True) for C in (0.01, 0.1)))


def checkpoints(options: NetworkOptions) -> tuple[int, ...]:
    """Return the numbers of epochs after which a network of these options is asked; one fit answers for all."""
    return tuple(part.epochs for part in GRIDS["mlp"] if isinstance(part, Mlp) and part.options == options)
