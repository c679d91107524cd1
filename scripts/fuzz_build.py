"""Builds the fuzzers: the product's modules, compiled once more with coverage and AddressSanitizer, and Fuzz/ on top, as one executable.

What the product depends on (swift-crypto, jwt-kit, GRDB) is taken as `swift build` has left it in .build/debug: not instrumented, and not
built twice. Modules, their order and their settings come from the package description, so that nothing is listed here again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEBUG = ROOT / ".build" / "debug"
OUT = ROOT / ".build-fuzz"
EXECUTABLE = OUT / "fuzz"
SWIFTC = os.environ.get("SWIFTC", "swiftc")

SANITIZE = ["-sanitize=fuzzer,address"]


class BuildError(Exception):
    pass


def settings() -> list[str]:
    """The language settings of every target."""
    manifest = (ROOT / "Package.swift").read_text()
    flags = ["-swift-version", "6", "-strict-memory-safety", "-warnings-as-errors"]
    for kind, option in (("Upcoming", "-enable-upcoming-feature"), ("Experimental", "-enable-experimental-feature")):
        for name in re.findall(rf'\.enable{kind}Feature\("(\w+)"\)', manifest):
            flags += [option, name]
    return flags


def description() -> dict[str, dict]:
    text = subprocess.run(
        [os.environ.get("SWIFT", "swift"), "package", "--package-path", str(ROOT), "describe", "--type", "json"],
        check=True, capture_output=True, text=True).stdout
    return {target["name"]: target for target in json.loads(text)["targets"]}


def clang_modules(targets: dict[str, dict]) -> list[str]:
    """How the compiler finds the C modules, ours and SQLite's."""
    maps = [ROOT / target["path"] / "module.modulemap" for target in targets.values()]
    maps += [DEBUG / f"{name}.build" / "module.modulemap" for name in targets]
    maps += [ROOT / ".build/checkouts/GRDB.swift/Sources/GRDBSQLite/module.modulemap"]
    flags = [f"-fmodule-map-file={path}" for path in maps if path.exists()]
    flags += [f"-I{ROOT / target['path'] / 'include'}" for target in targets.values() if target["module_type"] == "ClangTarget"]
    return [part for flag in flags for part in ("-Xcc", flag)]


class Module:
    def __init__(self, name: str, directory: Path, dependencies: list[str], extra: list[str]):
        self.name = name
        # The order is SwiftPM's: what a file sees of C depends on which file is read first.
        self.sources = sorted(str(path) for path in directory.rglob("*.swift"))
        self.dependencies = dependencies
        self.extra = extra
        self.interface = OUT / "modules" / f"{name}.swiftmodule"
        self.object = OUT / "objects" / f"{name}.o"

    def is_current(self, stamp: str, rebuilt: set[str]) -> bool:
        if rebuilt & set(self.dependencies) or not self.object.exists() or not self.interface.exists():
            return False
        made = OUT / "objects" / f"{self.name}.made-from"
        age = self.object.stat().st_mtime
        return (
            made.exists() and made.read_text() == stamp + "\n".join(self.sources)
            and all(Path(source).stat().st_mtime <= age for source in self.sources))

    def compile(self, flags: list[str], stamp: str) -> None:
        log = OUT / "objects" / f"{self.name}.log"
        command = [
            SWIFTC, "-O", "-whole-module-optimization", "-gline-tables-only", "-parse-as-library", "-enable-testing", *SANITIZE,
            "-module-name", self.name, "-emit-module", "-emit-module-path", str(self.interface), "-c", "-o", str(self.object),
            "-I", str(OUT / "modules"), "-I", str(DEBUG / "Modules"), *flags, *self.extra, *self.sources]
        self.object.unlink(missing_ok=True)
        with log.open("w") as out:
            code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT).returncode
        if code:
            raise BuildError(f"{self.name} does not compile:\n{log.read_text()[-6000:]}")
        (OUT / "objects" / f"{self.name}.made-from").write_text(stamp + "\n".join(self.sources))


def modules(targets: dict[str, dict]) -> list[Module]:
    """The product's library modules and the fuzzers, each behind what it imports."""
    swift = {name: target for name, target in targets.items()
             if target["type"] == "library" and target["module_type"] == "SwiftTarget" and target["path"].startswith("Sources/")}
    out: list[Module] = []
    while len(out) < len(swift):
        done = {module.name for module in out}
        ready = [name for name, target in swift.items() if name not in done
                 and set(target.get("target_dependencies") or []) & set(swift) <= done]
        for name in sorted(ready):
            dependencies = [d for d in swift[name].get("target_dependencies") or [] if d in swift]
            out.append(Module(name, ROOT / swift[name]["path"], dependencies, []))
    out.append(Module("Fuzz", ROOT / "Fuzz", sorted(swift), []))
    return out


def compile_all(every: list[Module], flags: list[str]) -> bool:
    """Compiles what has changed, as many at a time as there are cores. Whether anything was."""
    # A newer compiler or other flags make everything old.
    version = subprocess.run([SWIFTC, "--version"], capture_output=True, text=True).stdout
    stamp = version + " ".join(flags + SANITIZE) + "\n"
    rebuilt: set[str] = set()
    finished: set[str] = set()
    waiting = list(every)
    running = {}
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        while waiting or running:
            for module in [m for m in waiting if set(m.dependencies) <= finished]:
                waiting.remove(module)
                if module.is_current(stamp, rebuilt):
                    finished.add(module.name)
                else:
                    print(f"    {module.name}", flush=True)
                    running[pool.submit(module.compile, flags, stamp)] = module
            if not running:
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                module = running.pop(future)
                future.result()
                finished.add(module.name)
                rebuilt.add(module.name)
    return bool(rebuilt)


def link(every: list[Module], targets: dict[str, dict]) -> None:
    """Our objects, instrumented, and those of the dependencies as the product's own executable has them."""
    listed = DEBUG / "coatcheck.product" / "Objects.LinkFileList"
    own = {f"{name}.build" for name, target in targets.items() if target.get("module_type") == "SwiftTarget"}
    own.add("ArgumentParser.build")
    others = [path for path in listed.read_text().split("\n") if path and not own & set(Path(path).parts)]
    response = OUT / "objects.list"
    response.write_text("\n".join([str(module.object) for module in every] + others))
    libraries = subprocess.run(
        ["pkg-config", "--libs", "openssl", "zlib", "sqlite3"], check=True, capture_output=True, text=True).stdout.split()
    command = [SWIFTC, *SANITIZE, "-o", str(EXECUTABLE), f"@{response}", *libraries]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise BuildError(f"the fuzzers do not link:\n{(done.stdout + done.stderr)[-6000:]}")


def build() -> Path:
    if not (DEBUG / "coatcheck.product" / "Objects.LinkFileList").exists():
        raise BuildError("run swift build first")
    for directory in ("modules", "objects"):
        (OUT / directory).mkdir(parents=True, exist_ok=True)
    targets = description()
    every = modules(targets)
    if compile_all(every, settings() + clang_modules(targets)) or not EXECUTABLE.exists():
        link(every, targets)
    return EXECUTABLE


if __name__ == "__main__":
    try:
        print(build())
    except BuildError as error:
        sys.exit(str(error))
