"""What `genrestack doctor` checks of serving: onnxruntime, providers, limits, the model repository.

A row is subject, `ok`, `note` or `problem`, what was found, and what to do about it.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from genrestack_bundle import BundleError, list_models, list_versions, open_bundle
from genrestack_bundle.errors import ProviderError
from genrestack_bundle.native.library import LIBRARY, instruction_sets, missing
from genrestack_bundle.runtime.providers import (
    INSTALL_GPU,
    PROVIDERS,
    available,
    check_wheels,
    driver,
    installed_wheels,
    start,
)
from genrestack_common.control_groups import CGROUP, MEMBERSHIP
from genrestack_common.resources import usable_cpus, usable_memory
from genrestack_common.text import counted

Row = tuple[str, str, str, str]
_MIB: Final = 2**20
# A server with one model of the notebook's kind takes about 150 MiB, and training some 1.5 GiB.
_LITTLE: Final = 512 * _MIB


def findings(models_dir: Path | None) -> Iterator[Row]:
    """Check everything that serving needs; `models_dir` is verified where one is given."""
    yield from _onnxruntime()
    yield cpus()
    yield memory()
    if models_dir is not None:
        yield from models(models_dir)


def _onnxruntime() -> Iterator[Row]:
    wheels = installed_wheels()
    if not wheels:
        return
    try:
        check_wheels(wheels)
        names = available()
    except ProviderError as error:
        subject, _, advice = str(error).partition("; ")
        yield "onnxruntime", "problem", subject, advice
        return
    except ImportError as error:
        text = str(error).partition("\n")[0]
        again = f"pip install --force-reinstall {next(iter(wheels))}"
        yield "onnxruntime", "problem", f"cannot be imported: {text}", again
        return
    yield "onnxruntime", "ok", ", ".join(f"{name} {version}" for name, version in wheels.items()), ""
    yield from _providers(names)
    yield native()


def _providers(names: Sequence[str]) -> Iterator[Row]:
    for provider in PROVIDERS.values():
        if provider.name not in names:
            continue
        try:
            start(provider, 0)
        except ProviderError as error:
            yield f"provider {provider.word}", "note", str(error), ""
        else:
            yield f"provider {provider.word}", "ok", f"{provider.name} starts", ""
    if PROVIDERS["cuda"].name not in names and driver():
        text = "there is an NVIDIA driver, but this onnxruntime is for the CPU alone"
        yield "provider cuda", "note", text, f"to serve on the GPU, in a new environment: {INSTALL_GPU}"


def native(library: Path = LIBRARY) -> Row:
    """Check for the native operators; without them standard ones give the same answers."""
    if reason := missing(library):
        return (
            "native operators",
            "note",
            f"{reason}; standard operators answer in their place, the same and slower",
            "with a C compiler (gcc) at hand: python -m genrestack_bundle.native.build",
        )
    return "native operators", "ok", f"k nearest neighbours by {instruction_sets(library)[0]}", ""


def cpus(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> Row:
    """Compare the CPUs of this process with the machine's."""
    usable, all_of_them = usable_cpus(cgroup, membership), os.cpu_count() or 1
    if usable >= all_of_them:
        return "cpus", "ok", f"{counted(usable, 'CPU')}, all that the machine has", ""
    return (
        "cpus",
        "note",
        f"{usable} of the machine's {all_of_them} CPUs (a container's limit, or affinity); the server counts as well",
        f"more than {counted(usable, 'worker')} gain nothing",
    )


def memory(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> Row:
    """Judge the memory of this process."""
    limit = usable_memory(cgroup, membership)
    if limit is None:
        return "memory", "ok", "no limit is known", ""
    found = f"{limit / _MIB:,.0f} MiB for this process, of the machine or its container"
    if limit < _LITTLE:
        return (
            "memory",
            "note",
            found,
            "a small model fits; give a container 512 MiB or more, and 2 GiB to train",
        )
    return "memory", "ok", found, ""


def models(models_dir: Path) -> Iterator[Row]:
    """Verify the newest version of every model in a repository; the server runs its golden rows as well."""
    try:
        names = list_models(models_dir) if models_dir.is_dir() else []
    except (BundleError, OSError) as error:
        yield "models", "problem", str(error), "let this user read it"
        return
    if not names:
        advice = "genrestack train TABLE makes a model; name its folder with --models"
        yield "models", "problem", f"there is no model in {models_dir}", advice
    for name in names:
        yield _model(models_dir, name)


def _model(models_dir: Path, name: str) -> Row:
    subject = f"model {name}"
    try:
        versions = list_versions(models_dir / name)
        if not versions:
            return subject, "note", "has no version", "genrestack export RUN makes one"
        bundle = open_bundle(models_dir / name / str(versions[-1]))
    except BundleError as error:
        return subject, "problem", str(error), "copy it again, or take the version away: the one before is served"
    rows = counted(len(bundle.golden.rows), "golden row")
    return subject, "ok", f"{name}/{versions[-1]} is whole: every hash agrees, {rows} to check parity by", ""
