"""Build the server's image and try it: `make image-test`. Needs root, and the Debian packages named below."""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from image import building, checks, contents
from image.engine import Engine, Failed, engine
from image.registry import Registry

PACKAGES: Final = ("buildah", "debootstrap", "podman", "runc")
LIMIT_MB: Final = 350
MB: Final = 1_000_000


def main() -> None:
    """Run everything, or say why not."""
    parser = argparse.ArgumentParser(prog="make image-test", description=__doc__)
    parser.add_argument("--base", help="an image with Python to build on, instead of a Debian made for the purpose")
    base: str | None = parser.parse_args().base
    missing = missing_tools(base)
    if missing:
        strict = os.environ.get("REQUIRE_TOOLS") == "1"
        print(f"image: {'failed' if strict else 'skipped'}, needs {', '.join(missing)}")
        sys.exit(strict)
    try:
        with engine() as made:
            print(test(made, base))
    except Failed as reason:
        sys.exit(f"image: failed: {reason}")


def missing_tools(base: str | None) -> list[str]:
    """Name what is not there."""
    root = [] if os.geteuid() == 0 else ["root"]
    wanted = [name for name in PACKAGES if not (base and name == "debootstrap")]
    return root + [f"{name} (Debian package {name})" for name in wanted if not shutil.which(name)]


def test(made: Engine, base: str | None) -> str:
    """Build, look, run; give the line that sums it up."""
    registry = Registry.here()
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {what}", flush=True)

    base = base or building.build_base(made)
    say(f"base: {building.size(made, base) // MB} MB")
    compiler = (
        building.build_base(made, building.COMPILER, building.C_COMPILER) if shutil.which("debootstrap") else None
    )
    image = building.build(made, base, registry, compiler=compiler)
    added = (building.size(made, image) - building.size(made, base)) / MB
    say(f"server: {added:.0f} MB over the base")
    contents.expect(added <= LIMIT_MB, f"the server's layers take {added:.0f} MB, more than {LIMIT_MB}")
    contents.check_config(contents.config_of(made, image))
    contents.check_files(made, image, base, registry)
    if compiler:
        contents.check_native(made, image)
    contents.check_history(made, image, registry)
    say("contents: the packages of the requirements file and no other, no trace of where they came from")
    folder = Path(made.folder, "models")
    folder.mkdir()
    models = checks.Models.make(folder)
    seconds = checks.check_answers(made, image, models, say)
    checks.check_draining(made, image, models, say)
    checks.check_workers(made, image, models, say)
    checks.check_missing_model(made, image, models, say)
    return f"image: health ok, Predict ok, stream ok, drained; {added:.0f} MB over the base, started in {seconds:.1f} s"


if __name__ == "__main__":
    main()
