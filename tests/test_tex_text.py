"""LaTeX without its commands: what a reader of the printed page sees, with formulas and code as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from rag.sources.plain.tex_text import plain_tex
from tests.files import load


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"A \textbf{bisque \emph{firing}} took {\em 9} hours~\cite{b20}.", "A bisque firing took 9 hours [b20]."),
        (r"M\"uller \& S\'{o}n, Stra\ss e, 50\,\% off % a remark", "Müller & Són, Straße, 50% off "),
        (r"``quoted'' text --- and 3--4\footnote{A note.}", "“quoted” text — and 3–4 (A note.)"),
        (r"\href{https://e.example}{Our site}, \url{https://e.example/x}", "Our site, https://e.example/x"),
        (r"\SI{1000}{\celsius} are $h = 2\pi \emph{r}$", r"1000 °C are $h = 2\pi \emph{r}$"),
        ("\\begin{itemize}\n\\item one\n\\item[Two] more\n\\end{itemize}", "\n\n- one\n\n- Two: more\n\n"),
        ("\\begin{theorem}[Euler]\nIt holds.\\end{theorem}", "\nEuler \n\nIt holds.\n"),
        ("\\begin{figure}[ht]\\includegraphics[width=3cm]{a}\\caption{Kiln}\\label{f}\\end{figure}", "\n\nKiln\n\n"),
        ("\\begin{verbatim}\n\\textbf{x} % y\n\\end{verbatim}", "\\begin{verbatim}\n\\textbf{x} % y\n\\end{verbatim}"),
        (r"\section{Of \emph{kilns}}\label{k}", r"\section{Of kilns}"),
    ],
)  # fmt: skip
def test_pieces(source: str, text: str) -> None:
    assert plain_tex(source) == text


def test_a_document(tmp_path: Path, settings: Settings) -> None:
    source = r"""\documentclass[11pt]{article}
\newcommand{\co}{CO$_2$}
\title{On \emph{Kilns}}\author{A. Berg \and T. Ray}
\begin{document}
\maketitle
\section{Fuel}
Wood gives \co{} and heat.
\end{document}
not printed"""
    (tmp_path / "a.tex").write_text(source)
    document = load(tmp_path / "a.tex", settings)
    lines = [line for line in document.page_content.split("\n") if line]
    assert lines == ["On Kilns", "A. Berg, T. Ray", "### Fuel", "Wood gives CO$_2$ and heat."]
    assert document.metadata["title"] == "On Kilns"
    assert [path for _, path, _ in document.metadata["sections"]] == [["Fuel"]]


def test_quantities_have_their_units(tmp_path: Path, settings: Settings) -> None:
    ranged = r"\SIrange{2}{5}{\km\per\hour}, 5~\si{\us}, \qty{3}{\kilo\gram}, \SI{50}{\percent} of it."
    text = rf"From \SI{{100}}{{\us}} to \SI[a=b]{{10}}{{\ms}}, {ranged}"
    (tmp_path / "a.tex").write_text(f"\\begin{{document}}\n{text}\n\\end{{document}}", encoding="utf-8")
    assert (
        load(tmp_path / "a.tex", settings).page_content == "From 100 µs to 10 ms, 2 to 5 km/h, 5 µs, 3 kg, 50 % of it."
    )
