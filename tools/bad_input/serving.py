"""Repositories, bundles and options that a server cannot start with."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.bad_input.finding import Finding
from tools.bad_input.world import World

TITLE = "Starting a server"


def walk(world: World) -> Iterator[Finding]:
    """Pass each of them to `genrestack serve`."""
    (world.folder / "nobody").mkdir()
    yield world.run("A repository that is not there", "serve", "gone")
    yield world.run("An empty repository", "serve", "nobody")
    yield world.run("A file in its place", "serve", "digits.csv")
    yield world.run("One model's folder", "serve", "models/digits")
    yield world.run("A single bundle", "serve", "models/digits/1")
    for title, spoil in _SPOILT.items():
        name = "bad-" + "-".join(title.lower().split())
        bundle = world.folder / name / "digits" / "1"
        shutil.copytree(world.folder / "models" / "digits" / "1", bundle)
        spoil(bundle)
        yield world.run(title, "serve", name)
    with world.serving() as other:
        yield world.run("A busy port", "serve", "--port", other.port)
    for title, arguments in (_OPTIONS | _security(world.folder)).items():
        yield world.run(title, "serve", *arguments)


def _security(folder: Path) -> dict[str, tuple[str, ...]]:
    """Write certificates and token files that cannot be used."""
    from support.network.certificates import EXPIRED, Authority

    authority = Authority.make()
    good, other = authority.server(folder, "server"), authority.server(folder, "other")
    late = authority.server(folder, "late", lifetime=EXPIRED)
    pair = ("--tls-cert", good.certificate.name, "--tls-key", good.key.name)
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    for name, text in {
        "empty.pem": "", "prose.pem": "the certificate\n", "notokens": "# nobody\n", "plain": "gs_a-token-itself\n",
        "twice": f"{digest} web\n{digest} job\n", "named": f"{digest} admin admin\n",
    }.items():  # fmt: skip
        (folder / name).write_text(text, encoding="utf-8")
    return {
        "A certificate without its key": pair[:2],
        "Mutual TLS without TLS": ("--tls-client-ca", good.certificate.name),
        "A certificate that is not there": ("--tls-cert", "gone.pem", "--tls-key", good.key.name),
        "A certificate that is none": ("--tls-cert", "prose.pem", "--tls-key", good.key.name),
        "A key that is none": ("--tls-cert", good.certificate.name, "--tls-key", "prose.pem"),
        "The key of another certificate": ("--tls-cert", good.certificate.name, "--tls-key", other.key.name),
        "A certificate that has expired": ("--tls-cert", late.certificate.name, "--tls-key", late.key.name),
        "No authority for clients": (*pair, "--tls-client-ca", "empty.pem"),
        "A token file that is not there": ("--token-file", "gone"),
        "A token file without a token": ("--token-file", "notokens"),
        "A token file with the token itself": ("--token-file", "plain"),
        "A token twice": ("--token-file", "twice"),
        "A token that is named admin": ("--token-file", "named"),
    }


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _other_version(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    fields = json.loads(manifest.read_text(encoding="utf-8"))
    fields["version"] = 7
    manifest.write_text(json.dumps(fields), encoding="utf-8")


def _emptied(bundle: Path) -> None:
    for file in bundle.iterdir():
        file.unlink()


_SPOILT: dict[str, Callable[[Path], object]] = {
    "A flipped bit in a graph": lambda bundle: _flip(bundle / "knn.onnx"),
    "A flipped bit in the golden rows": lambda bundle: _flip(bundle / "golden.npz"),
    "A flipped bit in the manifest": lambda bundle: _flip(bundle / "manifest.json"),
    "A graph that is not there": lambda bundle: (bundle / "svc.onnx").unlink(),
    "A manifest that is not there": lambda bundle: (bundle / "manifest.json").unlink(),
    "No list of hashes": lambda bundle: (bundle / "SHA256SUMS").unlink(),
    "A manifest changed by hand": _other_version,
    "An empty bundle": _emptied,
}
_OPTIONS: dict[str, tuple[str, ...]] = {
    "A port that cannot be": ("--port", "70000"),
    "A host that nobody knows": ("--host", "no.such.host.invalid"),
    "An address of another machine": ("--host", "192.0.2.1"),
    "An unknown provider": ("--provider", "tpu"),
    "A provider that is not installed": ("--provider", "cuda"),
    "A GPU for the CPU": ("--provider", "cpu", "--device", "1"),
    "No threads": ("--threads", "0"),
    "A default model that is not there": ("--default-model", "gtzan"),
    "No message at all": ("--max-message-mib", "0"),
    "A negative grace": ("--grace", "-1"),
    "An unknown option": ("--prot", "50052"),
    "A folder too many": ("models", "runs"),
}
