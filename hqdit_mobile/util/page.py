# SPDX-License-Identifier: Apache-2.0
"""Parts of self-contained HTML pages."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

PER_STRIP = 4
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: left; border-bottom: 1px solid #ddd; }
img { max-width: 100%; } .fail { color: #b00; font-weight: bold; } figure { margin: 1rem 0; }
.scroll { overflow-x: auto; } .scroll td, .scroll th { white-space: nowrap; padding: .2rem .45rem; }
.side { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; } .side > * { flex: 1 1 20rem; margin: 0; }
.side figure { max-width: 36rem; } svg { width: 100%; height: auto; font: 10px system-ui, sans-serif; display: block; }
"""
VIEWPORT = '<meta name=viewport content="width=device-width, initial-scale=1">'


def page(title: str, body: str, style: str = "") -> str:
    """``style`` comes after the common one; ``body`` is HTML, ``title`` text."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>{VIEWPORT}<title>{html.escape(title)}</title>"
        f"<style>{STYLE}{style}</style>{body}</html>\n"
    )


def figure(image: bytes, caption: str) -> str:
    """A PNG and the words below it."""
    data = base64.b64encode(image).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


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
