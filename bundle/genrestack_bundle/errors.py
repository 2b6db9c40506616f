"""What can be wrong with a bundle.

BundleError            unreadable, incomplete, altered or unsafe; the message names the file and what to do
├── ParityError        the graphs do not answer what the original estimator answered
└── ProviderError      the execution provider asked for is not there

LoadCancelledError     nothing is wrong: the bundle is no longer wanted
"""


class BundleError(Exception):
    """A bundle that cannot be used; the message is for people and names the file at fault."""


class ParityError(BundleError):
    """The exported graphs and the original estimator disagree by more than the tolerance."""


class ProviderError(BundleError):
    """The execution provider asked for is missing or will not run the graph."""


class LoadCancelledError(Exception):
    """Loading was ended from outside before it was through; that says nothing of the bundle."""
