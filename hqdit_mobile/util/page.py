# SPDX-License-Identifier: Apache-2.0
"""Parts of self-contained HTML pages."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from hqdit_mobile.util.texts import visible

PER_STRIP = 4
STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #222; --faint: #666; --line: #ddd; --box: #f4f4f4; --bad: #b00;
--good: #176d2c; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --text: #e6e6e6; --faint: #a0a4a8; --line: #3a3d41;
--box: #22252a; --bad: #ff7b72; --good: #6fd08c; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
background: var(--page); color: var(--text); overflow-wrap: break-word; }
table { border-collapse: collapse; }
td, th { padding: .2rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
img { max-width: 100%; } .fail { color: var(--bad); font-weight: bold; }
.pass { color: var(--good); font-weight: bold; }
figure { margin: 1rem 0; } figcaption, .faint { color: var(--faint); } summary { cursor: pointer; margin: .5rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--box); padding: .6rem; }
.scroll { overflow-x: auto; } .scroll td, .scroll th { white-space: nowrap; padding: .2rem .45rem; }
.side { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; } .side > * { flex: 1 1 20rem; margin: 0; }
.side figure { max-width: 36rem; } svg { width: 100%; height: auto; font: 10px system-ui, sans-serif; display: block; }
"""
VIEWPORT = '<meta name=viewport content="width=device-width, initial-scale=1">'


def page(title: str, body: str, style: str = "") -> str:
    """``style`` comes after the common one; ``body`` is HTML, ``title`` text."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>{VIEWPORT}<title>{shown(title)}</title>"
        f"<style>{STYLE}{style}</style>{body}</html>\n"
    )


def shown(words: str) -> str:
    """``words``, which anyone may have written, as HTML that shows exactly them."""
    return html.escape(visible(words))


COMPARISON = """
.pairs { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
.pair { margin: 0; --cut: 50%; } .pair > div { position: relative; line-height: 0; }
.pair img { width: 100%; image-rendering: pixelated; } .pair div img + img { position: absolute; inset: 0;
clip-path: inset(0 0 0 var(--cut)); } .pair hr { position: absolute; inset: 0 auto 0 var(--cut); margin: 0; width: 2px;
border: 0; background: #fff; mix-blend-mode: difference; } .pair input { width: 100%; margin: .3rem 0 0; }
"""


def comparison(left: np.ndarray, right: np.ndarray, left_name: str, right_name: str, caption: str) -> str:
    """Two pictures uint8 [H, W, 3] over one another; a slider moves the line between them. Wants COMPARISON's style."""
    images = "".join(
        f'<img alt="{shown(name)}: {shown(caption)}" src="{_data(png(image))}">'
        for name, image in ((left_name, left), (right_name, right))
    )
    says = f"{shown(left_name)} on the left, {shown(right_name)} on the right of the line"
    move = "this.parentNode.style.setProperty('--cut', this.value + '%')"
    slider = f'<input type=range value=50 aria-label="{says}" title="{says}" oninput="{move}">'
    return f"<figure class=pair><div>{images}<hr></div>{slider}<figcaption>{shown(caption)}</figcaption></figure>"


def _data(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def figure(image: bytes, caption: str) -> str:
    """A PNG and the words below it."""
    words = shown(caption)
    return f'<figure><img alt="{words}" src="{_data(image)}"><figcaption>{words}</figcaption></figure>'


def strips(rows: np.ndarray, labels: Sequence[str]) -> str:
    """Images one below the other, uint8 [rows, n, H, W, 3], in pieces that a phone shows large enough; labels [n]."""
    figures = []
    for start in range(0, rows.shape[1], PER_STRIP):
        part = rows[:, start : start + PER_STRIP]
        grid = part.transpose(0, 2, 1, 3, 4).reshape(part.shape[0] * part.shape[2], -1, 3)
        figures.append(figure(png(grid), ", ".join(labels[start : start + PER_STRIP])))
    return f"<div class=side>{''.join(figures)}</div>"


def png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as a file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
