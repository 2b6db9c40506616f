"""Try other processors: `make test-cpus`. Needs root for debootstrap, and the Debian packages named below.

A stack is trained and exported on this machine. Its golden rows are answered under every switch that libraries have,
and under every emulated processor, where native operators are asked too; under switches the parity tests run too, and
a stack is trained and exported again.
"""

import os
import sys
from typing import Final

from cpus import emulated
from cpus.machine import ROOT
from cpus.switches import switches
from cpus.tries import Tries, say

FOLDER: Final = ROOT / "build" / "cpus"


def main() -> None:
    """Run everything, or say why not."""
    lacking = [*([] if os.geteuid() == 0 else ["root, for debootstrap"]), *emulated.missing()]
    if lacking:
        sys.exit(f"make test-cpus needs {', '.join(lacking)}: apt-get install qemu-user debootstrap")
    FOLDER.mkdir(parents=True, exist_ok=True)
    tries = Tries(FOLDER)
    for name, what in emulated.X86.items():
        say(f"{name}: {what}")
        machine = emulated.x86(name)
        tries.emulated(machine, starts=_from(name, "serve"))
        tries.trains(machine, starts=_from(name, "train"))
        if _from(name, "serve"):
            tries.native(machine, machine.python[:-1], tries.native_program)
    cross = emulated.native_program(FOLDER / "native-aarch64", emulated.CROSS_COMPILER)
    for name, what in emulated.ARM.items():
        say(f"{name}: aarch64, {what}")
        machine = emulated.aarch64(name, FOLDER / "aarch64")
        tries.emulated(machine)
        tries.native(machine, machine.python[:3], cross)
    for switch in switches(tries.seen["numpy"]):
        tries.switched(switch)
    sys.exit("test-cpus: failed, see above" if tries.failed else None)


def _from(name: str, does: str) -> bool:
    """Return whether a processor is at least the least one that serves, or trains."""
    order = list(emulated.X86)
    return order.index(name) <= order.index(emulated.LEAST[does])


if __name__ == "__main__":
    main()
