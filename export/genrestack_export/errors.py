"""What can stand between a fitted stack and a bundle.

ExportError                the stack, its scaler or the reference rows cannot be exported; the message says what to do
└── UnsupportedEstimator   an estimator or parameter we have no exact graph for; names it and what is supported
ParityError                the graphs do not answer what the original answers (from `genrestack_bundle`)
"""

from genrestack_bundle import ParityError

__all__ = ["ExportError", "ParityError", "UnsupportedEstimator"]


class ExportError(ValueError):
    """Something handed to the export is not what it has to be."""


class UnsupportedEstimator(ExportError):
    """An estimator or a parameter that cannot be exported exactly."""

    def __init__(self, where: str, found: str, supported: str) -> None:
        """Build the message from what was found and what is supported.

        Args:
            where: the place in the stack: `base estimator 'knn'`, `the scaler`, `the meta-learner`.
            found: the estimator or parameter, with its value.
            supported: what is supported in its place.

        """
        super().__init__(f"{where}: {found} is not supported; supported: {supported}")
