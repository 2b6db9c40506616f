"""Libraries' own switches for other kernels and instruction sets on this processor, and whether they took hold."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cpus.machine import Machine

Seen = Mapping[str, Any]


@dataclass(frozen=True)
class Switch:
    """Variables, and how to see that they did something."""

    variables: Mapping[str, str]
    effect: Callable[[Seen, Seen], bool]
    """Tell, by what is seen with them and without, whether they chose what they name."""
    needs: str = ""
    """A flag of /proc/cpuinfo without which what they choose cannot run."""

    @property
    def name(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.variables.items())


def _blas(kernel: str, needs: str = "") -> Switch:
    return Switch({"OPENBLAS_CORETYPE": kernel}, lambda seen, _: seen["openblas"] == [kernel], needs)


def _onednn(name: str, value: str, effect: Callable[[Seen, Seen], bool], needs: str = "") -> Switch:
    return Switch({name: value}, effect, needs)


def switches(features: list[str]) -> list[Switch]:
    """List them; `features` are those that NumPy has further code for and this processor has."""
    found = [
        _blas("Nehalem"),
        _blas("Haswell", "avx2"),
        _blas("Zen", "avx2"),
        _blas("SkylakeX", "avx512vl"),
        Switch({"NPY_DISABLE_CPU_FEATURES": " ".join(features)}, lambda seen, _: not seen["numpy"]),
        _onednn("ONEDNN_MAX_CPU_ISA", "SSE41", lambda seen, _: "SSE4.1" in seen["onednn"]),
        _onednn("ONEDNN_MAX_CPU_ISA", "AVX2", lambda seen, _: seen["onednn"].endswith("AVX2"), "avx2"),
        _onednn(
            "TF_ENABLE_ONEDNN_OPTS",
            "0",
            lambda seen, plain: set(seen["primitives"]) < {*plain["primitives"], "gemm_api"},
        ),
    ]
    oldest = {
        name: value for each in (found[0], found[4], found[5], found[7]) for name, value in each.variables.items()
    }
    return [*found, Switch(oldest, lambda seen, _: seen["openblas"] == ["Nehalem"] and not seen["numpy"])]


def lacks(switch: Switch) -> str:
    """Name what this processor lacks for it; empty if it can be run."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return switch.needs if switch.needs and switch.needs not in flags else ""


_ISA: Final = "onednn_verbose,v1,info,cpu,isa:"
_RUN: Final = "onednn_verbose,v1,primitive,exec,"


def seen_on(machine: Machine) -> dict[str, Any]:
    """Return what the libraries have chosen: OpenBLAS's kernels, NumPy's further code, oneDNN's instruction set."""
    lines = machine.run("seen").splitlines()
    told = [line.removeprefix(_ISA) for line in lines if line.startswith(_ISA)]
    # What Keras' layers become: primitives of oneDNN, or Eigen's loops around oneDNN's bare matrix product, `gemm_api`.
    primitives = sorted({line.split(",")[5] for line in lines if line.startswith(_RUN)})
    return {**json.loads(lines[-1]), "onednn": told[0] if told else "not used", "primitives": primitives}


def words(seen: Seen) -> str:
    """Return one line."""
    blas, numpy = ", ".join(seen["openblas"]), ", ".join(seen["numpy"]) or "baseline alone"
    return f"OpenBLAS: {blas}; NumPy: {numpy}; oneDNN: {seen['onednn']}, {', '.join(seen['primitives'])}"
