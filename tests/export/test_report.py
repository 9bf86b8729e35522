# SPDX-License-Identifier: Apache-2.0
"""The report and the card of a bundle whose model was named by somebody who means harm."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tiny_model
import torch
from markdown_it import MarkdownIt
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hqdit_mobile.export.bundle import forecast as forecasts
from hqdit_mobile.export.bundle.agreement import Agreement
from hqdit_mobile.export.bundle.card import model_card
from hqdit_mobile.export.bundle.forecast import duration, operations_of_a_run
from hqdit_mobile.export.bundle.parity import ParityReport
from hqdit_mobile.export.bundle.quality import Quality
from hqdit_mobile.export.bundle.report import write_report
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.quantize.layer import LayerReport
from hqdit_mobile.quantize.quantizer import QuantizationReport
from hqdit_mobile.runtime.manifest import Manifest, Quantization, Source
from hqdit_mobile.runtime.manifest_file import parse_manifest

LABELS = ["<img src=x onerror=alert(1)>", "a|b", "</figure><script>alert(2)</script>", 'quote" onload="x', "\x1b[2J"]
COMMAND = "hqdit-export -m 'a</pre><script>' -o \"x`y\""


class Elements(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def manifest() -> Manifest:
    values = tiny_model.make_manifest({"transformer.pte": b"x", "vae_decoder.pte": b"y"}) | {
        "tools": {"hqdit-mobile": "1"}
    }
    made = parse_manifest(msgspec.json.encode(values))
    made.name = "<b>tiny</b>"
    made.source = Source(model="/m/<script>|`x`", licence="CC [x](javascript:y)", random_weights=False)
    made.quantization = Quantization(bits_per_weight=4.5, float32_bytes=10**6, config={"precision": "w4a8"})
    return made


@pytest.fixture
def quality() -> Quality:
    generator = np.random.default_rng(0)
    before = list(generator.integers(0, 256, (len(LABELS), 16, 16, 3), dtype=np.uint8))
    after = [np.clip(image.astype(int) + 1, 0, 255).astype(np.uint8) for image in before]
    return Quality(LABELS, before, after, [500.0] * 4 + [9000.0], 15, {900.0: 20.0, 500.0: 30.0, 0.0: 12.0})


@pytest.fixture
def parity() -> ParityReport:
    equal = [Agreement("linear", f"blocks.{i}.mlp.fc1", math.inf, math.inf, 0.0, 0.0, 1.0) for i in range(20)]
    return ParityReport("executorch", [*equal, Agreement("image", "seed <0>", 55.2, 40.0, 2.0, 0.01, 0.9999)])


def test_the_report_shows_names_and_runs_nothing(tmp_path, manifest, quality, parity):
    layers = [
        LayerReport(f"blocks.{i}.mlp.fc1", *[10.0] * (len(LayerReport.__dataclass_fields__) - 1)) for i in range(2)
    ]
    write_report(tmp_path / "report.html", manifest, QuantizationReport(1, layers), parity, quality, COMMAND)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    elements = Elements(page)
    tags = [tag for tag, _ in elements.tags]
    assert "script" not in tags and "link" not in tags and "iframe" not in tags
    sources = [attributes["src"] for tag, attributes in elements.tags if tag == "img"]
    assert len(sources) == 2 * len(LABELS) and all(source.startswith("data:image/png;base64,") for source in sources)
    handlers = {value for _, attributes in elements.tags for name, value in attributes.items() if name.startswith("on")}
    assert handlers == {"this.parentNode.style.setProperty('--cut', this.value + '%')"}
    assert not re.search("(https?:)?//", re.sub('data:image/png;base64,[^"]*', "", page)), "something from elsewhere"
    shown = "".join(elements.texts)
    for text in ("<b>tiny</b>", "/m/<script>|`x`", COMMAND, *LABELS[:-1], "\\x1b[2J", "seed <0>"):
        assert text in shown, text
    assert "\x1b" not in page and "prefers-color-scheme: dark" in page and tags.count("details") == 1
    assert "Parity passed: 21 of 21 checks" in shown and "linear equal bits, image 55.2" in shown
    assert "0.50 s for a picture in 15 steps" in shown and "50 or more" in shown


def test_a_failed_check_is_seen_at_once(tmp_path, manifest, quality, parity):
    parity.checks.append(Agreement("image", "seed 1", 30.0, 40.0, 2.0, 0.01, 0.9999))
    write_report(tmp_path / "report.html", manifest, QuantizationReport(1, []), parity, quality)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Parity failed</span>: 21 of 22 checks" in page and "image 30.0" in page and "Made by" not in page


def test_the_card_is_the_markdown_it_means_to_be(manifest, quality, parity):
    parser = MarkdownIt("commonmark").enable("table")
    card = model_card(
        manifest, Path("b"), parity, quality, "# Card\n<script>alert(3)</script>\n![x](y)\n\x1b[2J", COMMAND
    )
    html = Elements(parser.render(card))
    allowed = {"h1", "h2", "h3", "p", "code", "img", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}
    assert {"h3"} <= {tag for tag, _ in html.tags} <= allowed, "the source's heading is below its section's"
    shown = "".join(html.texts)
    for text in ("<b>tiny</b> for desktop", "/m/<script>|`x` (CC [x](javascript:y))", COMMAND, "<script>alert(3)"):
        assert text in shown, text
    assert f"--label '{LABELS[0]}'" in shown and "\x1b" not in card and "21 of 21 checks passed" in shown


def test_operations_are_those_that_torch_counts():
    config = DiTConfig(hidden_size=128, depth=3, num_heads=2, sample_size=32, num_classes=3)
    dit = DiT(config)
    # The counter knows no attention in one operator on a CPU.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        dit(torch.zeros(1, 4, 32, 32), torch.zeros(1), torch.zeros(1, dtype=torch.int64))
    assert operations_of_a_run(dit) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_the_speed_is_one_whatever_the_clock_does(monkeypatch):
    """On a busy machine the first product took longer than all the time there was to look."""
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr(forecasts.time, "perf_counter", lambda: float(next(clock)))
    assert forecasts.speed() == pytest.approx(forecasts.SHARE_OF_PEAK * 2 * 1024**3 / 7)


def test_durations():
    said = [duration(seconds) for seconds in (3, 89, 540, 5300, 9000)]
    assert said == ["about a minute", "about a minute", "about 9 minutes", "about 88 minutes", "about 2.5 hours"]
