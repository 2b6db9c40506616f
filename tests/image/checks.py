"""What the running image is tried with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from image.asking import BATCHES
from image.container import Container, answer, container
from image.contents import expect
from image.engine import Engine
from server.bundles.tiny import TinyStack, write_tiny
from support.samples.stacks import FittedStack, export, fit_digits

UID = "10001"
LONG_ROWS = 1000
"""Few enough for the client to send them as one request."""
TURNS = 3000
"""How slow the model is that they are asked of: some five seconds for these rows."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Models:
    """Repositories to mount."""

    digits: Path
    slow: Path
    none: Path
    stack: FittedStack

    @classmethod
    def make(cls, folder: Path) -> "Models":
        """Fit and export; any user that the image runs as may read them."""
        made = cls(folder / "digits", folder / "slow", folder / "none", fit_digits())
        export(made.stack, made.digits, "digits")
        write_tiny(made.slow, "slow", TinyStack.draw(), slow=TURNS)
        made.none.mkdir()
        return made


def check_answers(engine: Engine, image: str, models: Models, say: Say) -> float:
    """Serve, ask for health, and compare answers with scikit-learn's; give the seconds that the start took."""
    rows, answers = engine.folder / "rows.npy", engine.folder / "answers.npz"
    np.save(rows, models.stack.rows)
    with container(engine, image, models.digits) as running:
        seconds = running.start_serving()
        check_confinement(running)
        engine.podman("healthcheck", "run", running.name)
        say("health: SERVING, and the image's own health check agrees")
        answer(running.ask("answers", rows, answers))
        found = np.load(answers)
        expected = models.stack.stack.predict_proba(models.stack.scale(models.stack.rows))
        off = max(float(np.abs(found[name] - expected).max()) for name in ("predict", "stream"))
        expect(off < 1e-5, f"answers differ from scikit-learn's by {off}")
        expect(list(found["labels"]) == models.stack.predict(models.stack.rows), "labels differ from scikit-learn's")
        expect(found["batches"] == BATCHES, f"{found['batches']} answers to {BATCHES} batches")
        say(f"Predict, PredictStream: {len(expected)} rows as scikit-learn answers, |Δp| ≤ {off:.1g}; metrics agree")
        status = running.stop()
        expect(status == 0, f"stopped with exit status {status}:\n{running.said()}")
    return seconds


def check_confinement(running: Container) -> None:
    """Ask the kernel who the server is and what it may do, and try to write."""
    lines = Path(f"/proc/{running.pid()}/status").read_text(encoding="utf-8").splitlines()
    facts = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    expect(facts["Uid"] == [UID] * 4 and facts["Gid"] == [UID] * 4, f"runs as {facts['Uid']}, {facts['Gid']}")
    expect(all(int(facts[name][0], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd")), "it has capabilities")
    expect(facts["NoNewPrivs"] == ["1"], "it may gain privileges")
    for place in ("/x", "/tmp/x", "/models/x", "/opt/genrestack/x"):
        script = f"import pathlib, sys\ntry: pathlib.Path({place!r}).touch()\nexcept OSError: sys.exit(0)\nsys.exit(1)"
        running.engine.podman("exec", running.name, "/opt/genrestack/bin/python", "-c", script)


def check_draining(engine: Engine, image: str, models: Models, say: Say) -> None:
    """Stop the container under a long call, which has to be answered."""
    with container(engine, image, models.slow) as running:
        running.start_serving()
        asking = running.ask("long", str(LONG_ROWS))
        assert asking.stdout is not None
        first = asking.stdout.readline()
        expect(first == "under way\n", f"the long call does not begin: {first}{running.said()}")
        status = running.stop()
        said = answer(asking)
        expect(said == f"draining, then {LONG_ROWS} rows\n", f"the client said: {said}")
        expect(status == 0, f"stopped with exit status {status}:\n{running.said()}")
    say(f"SIGTERM: NOT_SERVING at once, the call under way answered all its {LONG_ROWS} rows, exit status 0")


def check_workers(engine: Engine, image: str, models: Models, say: Say) -> None:
    """Serve with two workers, as confined as with one."""
    with container(engine, image, models.digits, "serve", "/models", "--workers", "2") as running:
        running.start_serving()
        engine.podman("healthcheck", "run", running.name)
        status = running.stop()
        expect(status == 0, f"two workers stopped with exit status {status}:\n{running.said()}")
    say("two workers: SERVING, exit status 0")


def check_missing_model(engine: Engine, image: str, models: Models, say: Say) -> None:
    """Start without a model, with an empty mount and with none: exit status 2, and a line that says what to do."""
    for mounted in (models.none, None):
        with container(engine, image, mounted) as running:
            running.start()
            status, said = running.status(), running.said()
            expect(status == 2, f"without a model the exit status is {status}:\n{said}")
            expect("/models holds no <name>/<version>/ folders" in said, f"without a model it says:\n{said}")
    say("no model: exit status 2, and the message that says so")
