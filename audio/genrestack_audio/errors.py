"""The one error of this package."""


class AudioError(Exception):
    """Something in a recording, a setting or a table stands in the way; the message says what, and what to do."""
