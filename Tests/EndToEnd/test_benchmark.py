"""The benchmark's pages: what it measures has a place in the document, and its tables and chart can be read. Nothing is measured here."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from proxy import ROOT

sys.path.append(str(ROOT / "scripts" / "benchmark"))

import chart  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
from results import Column, Result, ratio_of_rounds  # noqa: E402


@pytest.fixture
def result() -> Result:
    one = Result("small", "Small <calls>", "A & B.", [Column("cpu", "CPU µs/request", 1, ratio=True), Column("rate", "requests/s")], chart="cpu", machine="2 cores", when="2026-01-02")
    one.rows = {"nginx": {"title": "nginx", "cpu": 10.0, "rate": 1234.5}, "coatcheck": {"title": "Coatcheck", "cpu": 9.0, "rate": None}}
    return one


def test_every_scenario_has_its_place_in_the_document():
    text = (ROOT / "docs" / "performance.md").read_text()
    assert re.findall(r"^<!-- figures (\S+) -->$", text, re.M) == ["machine", *scenarios.ALL]
    assert text.count("<!-- end -->") == len(scenarios.ALL) + 1


def test_figures_replace_those_that_stood_there(result, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- figures machine -->\n<!-- end -->\nb\n<!-- figures small -->\nold\n<!-- end -->\nc\n<!-- figures other -->\nkept\n<!-- end -->\n")
    report.write_into(page, [result])
    report.write_into(page, [result])
    text = page.read_text()
    assert "old" not in text and "kept" in text
    assert text.count("| **Coatcheck** | **9.0** | **0.90** | **–** |") == 1
    assert "Measured 2026-01-02 on 2 cores." in text


def test_a_page_without_a_place_is_refused(result, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- figures machine -->\n<!-- end -->\n")
    with pytest.raises(SystemExit, match="small"):
        report.write_into(page, [result])


def test_the_chart_is_well_formed_and_shows_every_peer(result):
    root = ElementTree.fromstring(chart.svg([result]))
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Small <calls>", "nginx", "Coatcheck", "10", "9"} <= set(words)
    bars = [float(element.get("width")) for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("class", "").startswith("bar")]
    assert bars[1] == pytest.approx(0.9 * bars[0], abs=0.2)


def test_results_survive_being_kept(result, tmp_path):
    result.save(tmp_path)
    assert Result.load(tmp_path / "small.json") == result


def test_ratios_are_those_of_neighbouring_rounds():
    assert ratio_of_rounds([{"cpu": 10}, {"cpu": 40}, {"cpu": 12}], [{"cpu": 10}, {"cpu": 40}, {"cpu": 10}], "cpu") == 1


def test_the_committed_chart_is_well_formed():
    ElementTree.parse(ROOT / "docs" / "performance.svg")


def test_unknown_scenarios_and_peers_are_named():
    for words in (["--scenario", "nothing"], ["--peers", "nginx,nobody"]):
        done = subprocess.run([sys.executable, ROOT / "scripts" / "benchmark", "--binary", "-", *words], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and "unknown" in done.stderr, done
