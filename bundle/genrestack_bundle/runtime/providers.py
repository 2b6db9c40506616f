"""Execution providers: which there are, which of them start here, and what to do where one does not."""

import contextlib
import ctypes
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from genrestack_bundle.errors import ProviderError
from genrestack_bundle.graphs.messages import make_model, make_node, make_value
from genrestack_proto.onnx.onnx_pb2 import TensorProto

AUTO: Final = "auto"
WHEELS: Final = ("onnxruntime", "onnxruntime-gpu")
"""Distributions that bring the package onnxruntime; each overwrites the other's files."""
INSTALL_GPU: Final = 'pip install "genrestack[server-gpu]"'
_DRIVER: Final = "libcuda.so.1"


@dataclass(frozen=True)
class Provider:
    """One of onnxruntime's execution providers."""

    word: str
    """As `--provider` takes it."""
    name: str
    """As onnxruntime calls it."""
    library: str = ""
    """File of its own in the wheel; "" where there is none."""
    place: str = "cpu"
    """Where its rows lie, as onnxruntime calls that memory."""
    options: Mapping[str, str] | None = None
    verify_s: float = 60.0
    """Seconds that its golden rows may take."""
    helpers: tuple[str, ...] = ()
    """Words of those that take the operators it does not know, before the CPU does."""

    @property
    def gpu(self) -> bool:
        """Whether it runs on a GPU, whose number it then takes as an option."""
        return bool(self.library)

    def settings(self, device: int) -> list[tuple[str, dict[str, str]]]:
        """Return the session's providers: this one and its helpers, with their options."""
        number = {"device_id": str(device)} if self.gpu else {}
        own = (self.name, {**number, **(self.options or {})})
        return [own, *(setting for word in self.helpers for setting in PROVIDERS[word].settings(device))]


PROVIDERS: Final[Mapping[str, Provider]] = {
    provider.word: provider
    for provider in (
        Provider("cpu", "CPUExecutionProvider"),
        Provider(
            "cuda",
            "CUDAExecutionProvider",
            "libonnxruntime_providers_cuda.so",
            "cuda",
            # TF32 keeps ten bits of a product's mantissa, and parity fails. Memory grows by what is asked for, not by
            # doubling: a GPU is often shared.
            {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"},
        ),
        Provider(
            "tensorrt",
            "TensorrtExecutionProvider",
            "libonnxruntime_providers_tensorrt.so",
            "cuda",
            {"trt_fp16_enable": "0", "trt_int8_enable": "0"},
            # It builds an engine for every number of rows it has not seen.
            verify_s=600.0,
            helpers=("cuda",),
        ),
    )
}
_BEST_FIRST: Final = ("cuda", "cpu")
"""What `auto` tries: TensorRT, which knows few of a stack's operators and takes long to start, has to be asked for."""


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off: the variable counts only before the first import."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def installed_wheels() -> dict[str, str]:
    """Versions of the distributions that bring onnxruntime, by name; more than one is a broken installation."""
    found = {}
    for wheel in WHEELS:
        with contextlib.suppress(PackageNotFoundError):
            found[wheel] = version(wheel)
    return found


def check_wheels(found: Mapping[str, str]) -> None:
    """Reject an environment in which two distributions have overwritten each other's files.

    Raises:
        ProviderError: saying how to fix it.

    """
    if len(found) > 1:
        both = " and ".join(f"{name} {number}" for name, number in found.items())
        raise ProviderError(
            f"{both} are both installed, and each overwrites files of the other; run "
            f'pip uninstall -y {" ".join(found)}, then pip install "genrestack[server]", or {INSTALL_GPU} for a GPU'
        )


def candidates(word: str) -> tuple[str, ...]:
    """Words of the providers to try for `--provider WORD`, the best first.

    Raises:
        ProviderError: there is no such provider, this onnxruntime does not have it, or two wheels are installed.

    """
    check_wheels(installed_wheels())
    there = available()
    if word == AUTO:
        return tuple(each for each in _BEST_FIRST if PROVIDERS[each].name in there)
    if word not in PROVIDERS:
        raise ProviderError(f"unknown provider {word!r}; choose {', '.join((AUTO, *PROVIDERS))}")
    if PROVIDERS[word].name not in there:
        raise ProviderError(
            f"{PROVIDERS[word].name} is not in this onnxruntime, which has {', '.join(there)}; "
            f'choose --provider cpu, or install "genrestack[server-gpu]" in an environment without onnxruntime'
        )
    return (word,)


def available() -> Sequence[str]:
    """Names of the providers that the installed onnxruntime was built with; they need not start here."""
    names: list[str] = import_onnxruntime().get_available_providers()
    return names


def start(provider: Provider, device: int) -> None:
    """Check that a provider starts on this machine.

    Raises:
        ProviderError: it does not; the message says what is missing, as far as that can be told.

    """
    if provider.gpu and (reason := _why_not(provider.word, device)):
        raise ProviderError(
            f"{provider.name} is in this onnxruntime and does not start here: {reason}; or choose --provider cpu"
        )


@cache
def _why_not(word: str, device: int) -> str:
    """Return why a GPU's provider does not start; "" if it does. Cached: it takes seconds."""
    provider, ort = PROVIDERS[word], import_onnxruntime()
    # For TensorRT, which has no option of its own for it.
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    _load_libraries(ort)
    # What goes wrong comes as text of its own, in colours, beside the log.
    ort.set_default_logger_severity(4)
    try:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        settings = provider.settings(device)[:1]
        session = ort.InferenceSession(_smallest_graph(), options, providers=settings, enable_fallback=False)
    except ort_errors():
        return _missing(ort, provider, device)
    finally:
        ort.set_default_logger_severity(2)
    return "" if provider.name in session.get_providers() else _missing(ort, provider, device)


def _load_libraries(ort: Any) -> None:
    """Load CUDA's libraries from where pip puts them, if they are there; those of the system are found anyway."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(*ort_errors()):
        ort.preload_dlls()


def _smallest_graph() -> bytes:
    model = make_model({"": 18})
    model.graph.name = "smallest"
    model.graph.node.append(make_node("Add", ["x", "x"], ["y"]))
    model.graph.input.append(make_value("x", TensorProto.FLOAT, [1]))
    model.graph.output.append(make_value("y", TensorProto.FLOAT, [1]))
    return model.SerializeToString()


def driver() -> bool:
    """Return whether there is an NVIDIA driver."""
    return not _unloadable(_DRIVER)


def _missing(ort: Any, provider: Provider, device: int) -> str:
    """Return what a provider lacks, by loading its libraries."""
    if not driver():
        return (
            f"there is no NVIDIA driver ({_DRIVER} is missing); install it, and give a container the GPU "
            "(docker run --gpus all), until nvidia-smi lists one"
        )
    capi = Path(ort.__file__).parent / "capi"
    _unloadable(str(capi / "libonnxruntime_providers_shared.so"))
    if library := _unloadable(str(capi / provider.library)):
        wanted = f"CUDA {ort.cuda_version.partition('.')[0]} and cuDNN 9"
        advice = 'pip install "onnxruntime-gpu[cuda,cudnn]" brings them'
        if provider.word == "tensorrt":
            wanted, advice = f"{wanted} and TensorRT 10", f"{advice}, but for TensorRT"
        return f"{library} cannot be loaded; it needs {wanted} ({advice})"
    return f"it cannot use GPU {device}; nvidia-smi lists the GPUs there are, for --device"


def _unloadable(library: str) -> str:
    """Return what is missing where a library, or one that it needs, cannot be loaded; "" if all is there."""
    try:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return Path(str(error).partition(":")[0]).name or library
    return ""


def ort_errors() -> tuple[type[Exception], ...]:
    """All that onnxruntime raises: its own classes have no base in common."""
    state = import_onnxruntime().capi.onnxruntime_pybind11_state
    own = (kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*own, RuntimeError, ValueError)
