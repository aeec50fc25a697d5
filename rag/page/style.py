"""What the page looks like: its title, theme, style sheet and icon."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

TITLE = "Local RAG chat"
ASSETS = Path(__file__).resolve().parent.parent / "assets"
STYLE_SHEETS = [ASSETS / "page.css", ASSETS / "reader.css"]
ICON = ASSETS / "favicon.svg"


def build_theme() -> gr.themes.Base:
    """Gradio's Base in teal and slate, with the fonts of the machine (nothing is fetched)."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="lg", font=sans, font_mono=mono)
    return theme.set(  # Base has text that is too pale to read for many: WCAG asks for a contrast of 4.5
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        link_text_color="*primary_700",
        link_text_color_hover="*primary_800",
        link_text_color_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
    )
