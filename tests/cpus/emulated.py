"""Processors that qemu emulates: older ones of x86-64 with this Python, and aarch64 with Debian's."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cpus.machine import PROGRAMS, ROOT, Machine
from image.building import SUITE

X86: Final[Mapping[str, str]] = {
    "Haswell": "AVX2",
    "SandyBridge": "AVX, no AVX2",
    "Nehalem": "x86-64-v2: SSE4.2, no AVX",
    "Penryn": "SSE4.1, no SSE4.2",
}
"""qemu's names of them, and what sets each apart. It emulates no AVX-512."""
ARM: Final[Mapping[str, str]] = {"cortex-a53": "ARMv8.0", "max": "all that qemu emulates, SVE and bfloat16 with it"}
LEAST: Final = {"serve": "Nehalem", "train": "SandyBridge"}
"""The least processors, oldest that pass."""
TOOLS: Final = {"qemu-x86_64": "qemu-user", "qemu-aarch64": "qemu-user", "debootstrap": "debootstrap"}
CROSS_COMPILER: Final = "aarch64-linux-gnu-gcc"
CROSS_PACKAGE: Final = "gcc-aarch64-linux-gnu"
_NATIVE: Final = ROOT / "bundle" / "genrestack_bundle" / "native"
_PYTHON: Final = "python3.11"
_PACKAGES: Final = ("python3", "libstdc++6")
# Numbers of an ARM Cortex-A72. qemu shows the host's, in which onnxruntime finds no processor of its kind, and fails.
_CPUINFO: Final = """processor\t: {number}
BogoMIPS\t: 100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


def missing() -> list[str]:
    """Name what is not there, and where it is found."""
    return [f"{tool} (Debian package {package})" for tool, package in TOOLS.items() if not shutil.which(tool)]


def x86(name: str) -> Machine:
    """Return an older x86-64; this Python runs on it, so this machine has to be one too."""
    if platform.machine() != "x86_64":
        raise OSError(f"{name} cannot be emulated with the Python of a {platform.machine()}")
    return Machine(name, ("qemu-x86_64", "-cpu", name, sys.executable))


def aarch64(name: str, folder: Path) -> Machine:
    """Return an aarch64 that runs Debian's Python with the packages of the server's image."""
    system, site = folder / "system", folder / "site"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _make_system(system)
        _install(site)
        (folder / "made").touch()
    paths = [site, *(ROOT / name for name in ("proto", "common", "bundle", "server"))]
    python = ("qemu-aarch64", "-cpu", name, "-L", system, system / "usr" / "bin" / _PYTHON)
    return Machine(name, python, {"PYTHONPATH": ":".join(map(str, paths)), "PYTHONNOUSERSITE": "1"})


def native_program(path: Path, compiler: str) -> Path | None:
    """Compile the program that asks the native operators by themselves; None where there is no such compiler."""
    if not shutil.which(compiler):
        return None
    # onnxruntime has no part in it.
    sources = [source for source in _NATIVE.glob("*.c") if source.name != "operator.c"]
    flags = ("-std=c11", "-O3", "-ffp-contract=off", "-D_GNU_SOURCE", "-static", "-I", _NATIVE)
    subprocess.run([compiler, *flags, "-o", path, PROGRAMS / "native.c", *sources, "-lm"], check=True)
    return path


def _make_system(system: Path) -> None:
    """Unpack a Debian with Python; nothing of it is installed, or run to be."""
    system.parent.mkdir(parents=True, exist_ok=True)
    foreign = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    subprocess.run([*foreign, SUITE, system], check=True, stdout=subprocess.DEVNULL)
    for package in sorted((system / "var" / "cache" / "apt" / "archives").glob("*.deb")):
        subprocess.run(["dpkg", "--extract", package, system], check=True)
    processor = system / "proc" / "cpuinfo"
    if processor.parent.is_symlink():
        processor.parent.unlink()
    processor.parent.mkdir(exist_ok=True)
    processor.write_text("".join(_CPUINFO.format(number=number) for number in range(2)), encoding="utf-8")


def _install(site: Path) -> None:
    """Install wheels for aarch64 that the image's hashed requirements name."""
    tags = [*(f"manylinux_2_{minor}" for minor in range(36, 16, -1)), "manylinux2014"]
    platforms = [word for tag in tags for word in ("--platform", f"{tag}_aarch64")]
    requirements = ROOT / "deploy" / "requirements" / "server-cpu.txt"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check",
            "--target", site, *platforms, "--python-version", _PYTHON.removeprefix("python"),
            "--only-binary", ":all:", "--require-hashes", "--requirement", requirements,
        ],
        check=True,
    )  # fmt: skip
