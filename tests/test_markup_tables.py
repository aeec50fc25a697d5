"""Tables of reStructuredText, AsciiDoc and LaTeX: each row is a line that names its columns, below its caption."""

# ruff: noqa: E501  # the markup

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from tests.files import check, load

RST = [
    (
        ".. list-table:: Fares\n   :header-rows: 1\n\n   * - Route\n     - Adult\n   * - Coll, `see <http://x.org>`_\n"
        "     - ``13``\n",
        ["Fares", "Route: Coll, see | Adult: 13"],
    ),
    (
        "+-----+--------+--------+\n| A   | B      | C      |\n+=====+========+========+\n| one | two wide        |\n"
        "+-----+--------+--------+\n| x   | both   | y      |\n+-----+ rows   +--------+\n| z   |        | w      |\n"
        "+-----+--------+--------+\n",
        ["A: one | B: two wide | C: two wide", "A: x | B: both rows | C: y", "A: z | B: both rows | C: w"],
    ),
    (
        "=====  =====  ======\n   Inputs     Output\n------------  ------\n  A      B    A or B\n=====  =====  ======\n"
        "no     no     no\n\nyes    no     yes\n=====  =====  ======\n",
        ["Inputs A: no | Inputs B: no | Output A or B: no", "Inputs A: yes | Inputs B: no | Output A or B: yes"],
    ),
    (
        ".. table:: Not\n   :widths: auto\n\n   =====  =====\n     A    not A\n   =====  =====\n   no     yes\n   =====  =====\n",
        ["Not", "A: no | not A: yes"],
    ),
    ('.. csv-table:: Birds\n   :header: Bird, Price\n\n   "Eel, red", 5\n', ["Birds", "Bird: Eel, red | Price: 5"]),
    (
        "So::\n\n   ==  ==\n   A   B\n   ==  ==\n   1   2\n   ==  ==\n",
        ["So:", "```", "==  ==", "A   B", "==  ==", "1   2", "==  ==", "```"],
    ),
]
ADOC = [
    (
        '.Fares\n[%header,cols="2,1"]\n|===\n|Route\n|Adult\n\n|Arden\n|22.00\n|Coll,\nwith a bike\n|13\n|===\n',
        ["Fares", "Route: Arden | Adult: 22.00", "Route: Coll, with a bike | Adult: 13"],
    ),
    (
        "|===\n|Name |Age\n\n|Ann |5\n2+|none \\| left\n|===\n",
        ["Name: Ann | Age: 5", "Name: none | left | Age: none | left"],
    ),
    ('[cols="3*"]\n|===\n.2+|A |1 |2\n|3 |4\n2*|x |y\n|===\n', ["A | 1 | 2", "A | 3 | 4", "x | x | y"]),
    (',===\nArtist,Track\n"Ann, Bo",Harlem\n,===\n', ["Artist | Track", "Ann, Bo | Harlem"]),
    ("----\n|===\n|a |b\n|===\n----\n", ["----", "|===", "|a |b", "|===", "----"]),
    ("|===\n|not closed\n", ["|===", "|not closed"]),
]
TEX = [
    (
        "\\begin{table}\n\\begin{tabular}{l|r@{ }p{3cm}}\n\\toprule\n\\textbf{Route} & Adult & \\multicolumn{1}{c}{Child} \\\\\n"
        "\\midrule\nColl \\& Co & 13.50 & \\multirow{2}{*}{free} \\\\[2pt] % a & b\nMull & 11\\,\\% & \\\\\n\\bottomrule\n"
        "\\end{tabular}\n\\caption{Fares of \\emph{2026}}\n\\end{table}\n",
        [
            *("Fares of 2026", "Route: Coll & Co | Adult: 13.50 | Child: free"),
            "Route: Mull | Adult: 11% | Child: free",
        ],
    ),
    (
        "\\begin{tabularx}{\\textwidth}{|X|X|}\n\\hline\nName & \\begin{tabular}{@{}c@{}}Two\\\\lines\\end{tabular} \\\\ \\hline\n"
        "Ann & \\$5 \\\\ \\hline\n\\end{tabularx}\n",
        ["Name: Ann | Two lines: $5"],
    ),
    (
        "\\begin{longtable}{ll}\n\\caption{Long}\\\\\n\\hline Key & Value \\\\ \\hline\n\\endfirsthead\nKey (more) & Value \\\\\n"
        "\\endhead\n\\multicolumn{2}{r}{Goes on} \\\\\n\\endfoot\na & 1 \\\\\n\\multicolumn{2}{l}{both} \\\\\n\\end{longtable}\n",
        ["Long", "Key: a | Value: 1", "Key: both | Value: both"],
    ),
    (
        "\\begin{verbatim}\n\\begin{tabular}{l} a & b \\\\ \\end{tabular}\n\\end{verbatim}\n",
        ["\\begin{verbatim}", "\\begin{tabular}{l} a & b \\\\ \\end{tabular}", "\\end{verbatim}"],
    ),
    ("\\begin{tabular}{ll} a & b\n", ["\\begin{tabular}{ll} a & b"]),
]


@pytest.mark.parametrize(
    ("name", "start", "table", "rows"),
    [
        *(("a.rst", "Top\n===\n\nText.\n\n", *case) for case in RST),
        *(("a.adoc", "== Top\n\nText.\n\n", *case) for case in ADOC),
        *(("a.tex", "\\section{Top}\nText.\n\n", *case) for case in TEX),
    ],
)
def test_rows_name_their_columns(
    name: str, start: str, table: str, rows: list[str], tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / name).write_text(f"{start}{table}\nAfter.", encoding="utf-8")
    document = load(tmp_path / name, settings)
    check(document)
    lines = [line.strip() for line in document.page_content.split("\n") if line.strip()]
    assert lines[1:] == ["Text.", *rows, "After."]
    captions = [row for row in rows if row in ("Fares", "Not", "Birds", "Fares of 2026", "Long")]
    paths = [path for _, path, _ in document.metadata["sections"]]
    assert paths[1:] == [path for caption in captions for path in ([caption], [])]


def test_no_other_file_is_read_into_a_table(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "secret.csv").write_text("key\nhidden", encoding="utf-8")
    text = f"Top\n===\n\n.. csv-table:: A\n   :file: {tmp_path / 'secret.csv'}\n\n.. table::\n\n   .. include:: {tmp_path / 'secret.csv'}\n"
    (tmp_path / "a.rst").write_text(text, encoding="utf-8")
    assert "hidden" not in load(tmp_path / "a.rst", settings).page_content


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tex", "\\begin{tabular}{l}" * 20_000),
        ("a.tex", "\\begin{table}\\caption{" * 5_000),
        ("a.tex", "\\begin{tabular}{l}" + "a & " * 50_000 + "\\end{tabular}"),
        ("a.adoc", "|===\n" + "9999+|a " * 3_000 + "\n|===\n"),
        ("a.adoc", "".join(f"|{'=' * number}\n" for number in range(3, 1_000))),
        ("a.rst", "=== ===\n" + "x\n" * 50_000),
        ("a.rst", "".join(f"{' ' * number}.. table::\n" for number in range(300))),
    ],
)
def test_hostile_tables_are_read_within_bounds(name: str, text: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / name).write_text(f"Begin\n\n{text}\n\nEnd", encoding="utf-8")
    assert load(tmp_path / name, settings).page_content.startswith("Begin")
