"""A model whose runs wait until the test lets them go on, in whatever process it is served: no run takes time."""

import os
from pathlib import Path

# Stands before onnxruntime, and puts the real one in its own place.
_PROGRAM = """
import ctypes, os, sys, time
sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
del sys.modules["onnxruntime"]
import onnxruntime
class WaitingSession(onnxruntime.InferenceSession):
    def run(self, *args, **options):
        _wait()
        return super().run(*args, **options)
    def run_with_iobinding(self, *args, **options):
        _wait()
        return super().run_with_iobinding(*args, **options)
def _wait():
    while os.path.exists({held!r}):
        open({begun!r}, "w").close()
        if os.path.getsize({held!r}):
            # As a node of a graph that does not return: no handler of Python's runs in this thread any more.
            mutex = ctypes.create_string_buffer(256)
            while True:
                ctypes.CDLL(None).pthread_mutex_lock(mutex)
        time.sleep(0.01)
onnxruntime.InferenceSession = WaitingSession
"""


class Waiting:
    """Runs begin to wait at `hold` and go on at `release`."""

    def __init__(self, folder: Path) -> None:
        self._held, self._begun = folder / "held", folder / "begun"
        module = folder / "waiting-onnxruntime" / "onnxruntime.py"
        module.parent.mkdir()
        module.write_text(_PROGRAM.format(held=str(self._held), begun=str(self._begun)), encoding="utf-8")
        paths = [str(module.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.env = {"PYTHONPATH": os.pathsep.join(paths)}
        """What a process is started with whose runs are to wait."""

    @property
    def begun(self) -> bool:
        """Whether a run waits, or has waited."""
        return self._begun.exists()

    def hold(self, *, for_ever: bool = False) -> None:
        """Make runs wait from now on; `for_ever`: in the midst of C code, and not to be released."""
        self._held.write_text("for ever" if for_ever else "", encoding="utf-8")

    def release(self) -> None:
        self._held.unlink()
