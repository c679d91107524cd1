"""The repository keeps its own promises: what its documents name exists, its code is formatted, its scripts can be run."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from proxy import ROOT, find_binary


def test_architecture_names_only_files_that_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:Sources|Tests|deploy|scripts|docs|\.ci)/[^`\s*]+)`", text)) | set(re.findall(r"\]\(((?!https?:|#|mailto:)[^)#\s]+)\)", text))
    assert named, "ARCHITECTURE.md names no file"
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing, missing


def test_architecture_knows_every_module():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    missing = [path.name for path in (ROOT / "Sources").iterdir() if path.is_dir() and f"`{path.name}`" not in text and f"Sources/{path.name}" not in text]
    assert not missing, missing


def test_the_readme_links_only_to_what_exists():
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.md")]:
        links = re.findall(r"\]\(((?!https?:|#|mailto:)[^)#\s]+)", document.read_text())
        missing = [link for link in links if not (document.parent / link).exists()]
        assert not missing, (document.name, missing)


def test_the_source_is_formatted():
    done = subprocess.run([ROOT / "scripts" / "format", "--check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_the_configuration_reference_is_generated_from_the_program():
    reference = ROOT / "docs" / "configuration.md"
    schema = json.loads(subprocess.run([find_binary(), "schema"], capture_output=True, text=True, check=True).stdout)
    text = reference.read_text()

    def keys(node: dict) -> set[str]:
        found = set(node.get("properties", {}))
        for child in [*node.get("properties", {}).values(), node.get("items", {}), *node.get("$defs", {}).values()]:
            if isinstance(child, dict) and child:
                found |= keys(child)
        return found

    missing = [key for key in keys(schema) if key not in text]
    assert not missing, missing


def test_every_fuzzer_has_seeds_and_is_explained():
    sources = "".join(path.read_text() for path in (ROOT / "Fuzz" / "Targets").glob("*.swift"))
    targets = re.findall(r'= Target\("([\w-]+)"\)', sources)
    assert len(targets) >= 10
    described = (ROOT / "docs" / "fuzzing.md").read_text()
    for target in targets:
        seeds = list((ROOT / "Fuzz" / "Seeds" / target).iterdir())
        assert len(seeds) >= 5 and all(path.stat().st_size <= 8192 for path in seeds), target
        assert f"| `{target}` |" in described, target
    folders = [path.name for kind in ("Seeds", "Crashes") if (ROOT / "Fuzz" / kind).is_dir() for path in (ROOT / "Fuzz" / kind).iterdir()]
    assert set(folders) <= set(targets), "a folder of no fuzzer"


@pytest.mark.parametrize("script", ["scripts/setup", "scripts/demo", "scripts/test", "scripts/bench", "scripts/profile", "scripts/soak", "scripts/scale", "scripts/format", "scripts/fuzz", "scripts/sanitize", ".ci/run"])
def test_scripts_can_be_run_and_parse(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)


def test_no_source_file_is_left_unfinished():
    words = re.compile(r"\b(TODO|FIXME|XXX)\b|fatalError\(\"(not|un)")
    found = [f"{path.relative_to(ROOT)}:{number}" for path in (ROOT / "Sources").rglob("*.swift")
             for number, line in enumerate(path.read_text().splitlines(), 1) if words.search(line)]
    assert not found, found


def test_unchecked_sendable_stays_where_it_is_explained():
    # The loop and its crossings, and OpenSSL's context, which locks itself.
    allowed = {
        "EventLoop.swift", "LoopBound.swift", "Locked.swift", "TLSContext.swift",
    }
    found = {path.name for path in (ROOT / "Sources").rglob("*.swift") if "@unchecked Sendable" in re.sub(r"//.*", "", path.read_text())}
    assert found <= allowed, found - allowed
    unsafe = [path.name for part in ("Sources", "Tests") for path in (ROOT / part).rglob("*.swift") if "nonisolated(unsafe)" in path.read_text()]
    assert not unsafe, unsafe


def test_the_example_names_only_loopback_or_example_hosts():
    text = (ROOT / "proxy.example.json").read_text()
    hosts = {match for match in re.findall(r"https?://([^/\"\s:]+)", text)}
    assert all(host.endswith(("example.com", ".example", "example.test", "localhost", "microsoftonline.com")) or host.startswith("127.") for host in hosts), hosts
