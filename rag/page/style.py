"""What the page looks like: its title, theme, style sheet and icon."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

TITLE = "Local RAG chat"
ASSETS = Path(__file__).resolve().parent.parent / "assets"
STYLE_SHEET = ASSETS / "page.css"
ICON = ASSETS / "favicon.svg"


def build_theme() -> gr.themes.Base:
    """Gradio's Base in teal and slate, with the fonts of the machine (nothing is fetched)."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]
    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="lg", font=sans, font_mono=mono)
