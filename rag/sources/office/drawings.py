"""What Office draws becomes text: charts, diagrams (SmartArt), text bodies and tables of DrawingML."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rag.sources.merged import spread
from rag.sources.office.equations import equation_text
from rag.sources.office.number_formats import shown
from rag.sources.office.ooxml import Package
from rag.sources.outline import plain
from rag.sources.raised import raised
from rag.sources.tables import cell_text, has_groups, table_lines
from rag.sources.xml_tree import Element, attribute, below, child, children, local, whole

MOST_POINTS = 100_000
"""Values of a chart's series, or texts of a diagram."""


def paragraph_text(item: Element) -> str:
    """The text of a paragraph of DrawingML."""
    pieces = []
    for inner in item:
        name = local(inner)
        if name == "fld" and attribute(inner, "type") == "slidenum":
            continue
        if name in ("r", "fld") and attribute(child(inner, "rPr"), "strike") in ("", "noStrike"):
            written, place = child(inner, "t"), attribute(child(inner, "rPr"), "baseline")
            text = (written.text or "") if written is not None else ""
            pieces.append(raised(text) if place.isdecimal() and int(place) else text)
        elif name == "br":
            pieces.append("\n")
        elif name in ("m", "oMath", "oMathPara"):
            math = [inner] if name != "m" else list(inner)
            pieces += [equation_text(part) for part in math]
    return "".join(pieces)


def body_text(item: Element | None) -> str:
    """The paragraphs of a text body, a line each."""
    lines = (paragraph_text(paragraph).strip() for paragraph in children(item, "p"))
    return plain("\n".join(filter(None, lines))).replace("\v", "\n")


def grid_of(table: Element) -> tuple[list[list[str]], int | None]:
    """The rows of a table of DrawingML, merged cells in each place they cover, and how many rows are its header."""
    rows = spread(
        [
            [
                (
                    cell_text(body_text(child(cell, "txBody"))),
                    whole(attribute(cell, "gridSpan"), 1),
                    whole(attribute(cell, "rowSpan"), 1),
                )
                for cell in children(row, "tc")
                if not {attribute(cell, "hMerge"), attribute(cell, "vMerge")} & {"1", "true"}
            ]
            for row in children(table, "tr")
        ]
    )
    named = attribute(child(table, "tblPr"), "firstRow") in ("1", "true")
    return rows, 1 if named and len(rows) > 1 and len(set(filter(None, rows[0]))) > 1 and not has_groups(rows) else None


# Charts


def chart_lines(package: Package, part: str) -> tuple[str, list[str]]:
    """The title of a chart, and its lines: one for each category, with the value of each series."""
    root = package.root(part)
    if root is None:
        return "", []
    if any(True for _ in below(root, "chartData")):
        title, lines, told = _modern_chart(root)
    else:
        title, lines, told = _classic_chart(root)
    drawn = (package.root(shapes) for shapes in package.related(part, "chartUserShapes"))
    told += [cell_text(paragraph_text(item)) for shape in drawn if shape is not None for item in below(shape, "p")]
    others = [text for text in dict.fromkeys(told) if text and text != title]
    return title, [*lines, *([f"In the chart: {'; '.join(others)}"] if others else [])]


def _classic_chart(root: Element) -> tuple[str, list[str], list[str]]:
    chart = child(root, "chart")
    title = _title(child(chart, "title"))
    groups: dict[tuple[str, ...], list[tuple[str, list[str]]]] = defaultdict(list)
    area = child(chart, "plotArea")
    plots = [plot for plot in (area if area is not None else ()) if local(plot).endswith("Chart")]
    series = [item for plot in plots for item in children(plot, "ser")]
    for number, item in enumerate(series, 1):
        name = _title(child(item, "tx")) or ("Value" if len(series) == 1 else f"Series {number}")
        values = _points(child(item, "val") if child(item, "val") is not None else child(item, "yVal"))
        named = child(item, "cat") if child(item, "cat") is not None else child(item, "xVal")
        names = _points(named)
        names += [str(place) for place in range(len(names) + 1, len(values) + 1)] if not names else []
        groups[tuple(names)].append((name, values))
        if sizes := _points(child(item, "bubbleSize")):
            groups[tuple(names)].append((f"{name} (size)", sizes))
    title = title or (series and len(series) == 1 and _title(child(series[0], "tx"))) or ""
    axes = [axis for axis in (area if area is not None else ()) if local(axis).endswith("Ax")]
    told = [_title(child(axis, "title")) for axis in axes]
    told += [_title(label) for item in series for label in below(item, "dLbl")]
    return title, [line for names, columns in groups.items() for line in _series_lines(names, columns)], told


def _series_lines(names: Sequence[str], columns: list[tuple[str, list[str]]]) -> list[str]:
    """A line for each category: its name, and the value that each series has there."""
    high = max([len(names), *(len(values) for _, values in columns)], default=0)
    rows = [["", *(name for name, _ in columns)]]
    for number in range(high):
        values = (values[number] if number < len(values) else "" for _, values in columns)
        rows.append([names[number] if number < len(names) else "", *values])
    return table_lines(rows, header=1) if high else [name for name, _ in columns]


def _title(item: Element | None) -> str:
    """The text of a title or of a series' name, written in it or stored from the sheet's cells."""
    if item is None:
        return ""
    rich = next(below(item, "rich"), None)
    if rich is not None:
        return cell_text(" ".join(map(paragraph_text, children(rich, "p"))))
    points = next(below(item, "strCache"), None)
    if points is not None:
        return cell_text(" ".join(_cached(points)))
    value = child(item, "v")
    return cell_text(value.text) if value is not None else ""


def _points(item: Element | None) -> list[str]:
    """The values or categories that a chart has stored; several levels of categories in one text, outermost first."""
    if item is None:
        return []
    levels = list(below(item, "lvl"))[:10]
    if levels:
        columns = [_cached(level) for level in reversed(levels)]
        for column in columns[:-1]:  # a group is named at its first category alone
            last = ""
            for number, text in enumerate(column):
                last = text or last
                column[number] = last
        high = max(map(len, columns))
        texts = ([column[min(row, len(column) - 1)] for column in columns if column] for row in range(high))
        return [", ".join(filter(None, text)) for text in texts]
    for name in ("strCache", "numCache", "strLit", "numLit"):
        if (cache := next(below(item, name), None)) is not None:
            return _cached(cache)
    return []


def _cached(cache: Element) -> list[str]:
    """The values that a chart has stored, as it shows them; of a chart of Office 2016, those of a level."""
    points = {}
    code = child(cache, "formatCode")
    are_numbers = local(cache).startswith("num") or local(cache.getparent()) == "numDim"
    usual = (code.text or "") if code is not None else attribute(cache, "formatCode")
    for point in children(cache, "pt"):
        value = child(point, "v")
        text = (value.text if value is not None else point.text) or ""
        points[whole(attribute(point, "idx"), 0)] = (
            shown(text, attribute(point, "formatCode") or usual) if are_numbers else text
        )
    most = min(max(points, default=-1) + 1, MOST_POINTS)
    return [cell_text(points.get(number, "")) for number in range(most)]


def _modern_chart(root: Element) -> tuple[str, list[str], list[str]]:
    """A chart of Office 2016 and later (chartex): waterfall, funnel, treemap, sunburst, histogram, map."""
    data = {attribute(item, "id"): item for item in below(root, "data")}
    chart = child(root, "chart")
    title = (
        cell_text(" ".join(map(paragraph_text, below(child(chart, "title"), "p"))))
        if child(chart, "title") is not None
        else ""
    )
    lines: list[str] = []
    for number, item in enumerate(below(root, "series"), 1):
        text = child(item, "tx", "txData", "v")
        name = cell_text(text.text if text is not None else "") or f"Series {number}"
        source = data.get(attribute(child(item, "dataId"), "val"))
        names, values = [], []
        for dimension in source if source is not None else ():
            levels = [_cached(level) for level in children(dimension, "lvl")]
            if local(dimension) == "strDim" and levels:
                columns = list(reversed(levels))
                high = max(map(len, columns))
                names = [", ".join(c[row] for c in columns if row < len(c) and c[row]) for row in range(high)]
            elif levels:
                values = levels[0]
        lines += _series_lines(names, [(name, values)])
    axes = [cell_text(" ".join(map(paragraph_text, below(axis, "p")))) for axis in below(root, "axis")]
    return title, lines, axes


# Diagrams


def diagram_lines(package: Package, part: str) -> list[str]:
    """The texts of a diagram (SmartArt) by its data, each below what it belongs to."""
    root = package.root(part)
    if root is None:
        return []
    texts: dict[str, str] = {}
    first: list[str] = []
    for point in list(below(root, "pt"))[:MOST_POINTS]:
        kind = attribute(point, "type") or "node"
        if kind in ("node", "asst", "doc"):
            texts[attribute(point, "modelId")] = cell_text(body_text(child(point, "t")))
            first += [attribute(point, "modelId")] if kind == "doc" else []
    inside: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for link in below(root, "cxn"):
        if (attribute(link, "type") or "parOf") == "parOf":
            place = whole(attribute(link, "srcOrd"), 0)
            inside[attribute(link, "srcId")].append((place, attribute(link, "destId")))
    lines = list(_tree(first, inside, texts))
    return [*lines, *(text for text in texts.values() if text)]  # texts that belong to nothing


def _tree(first: list[str], inside: dict[str, list[tuple[int, str]]], texts: dict[str, str]) -> Iterator[str]:
    """The texts of a tree from its tops down; takes each out of `texts`."""
    waiting = [(name, -1) for name in reversed(first)]
    while waiting:
        name, depth = waiting.pop()
        if name not in texts:
            continue
        text = texts.pop(name)
        if text:
            yield f"{'  ' * max(depth, 0)}- {text}"
        waiting += [(below, depth + 1) for _, below in sorted(inside[name], reverse=True)]


def graphic_blocks(package: Package, part: str, graphic: Element) -> Iterator[tuple[str, list[str]]]:
    """Title and lines of each chart and diagram in what a page shows."""
    for item in graphic.iter():
        name = local(item)
        if name == "chart" and (target := package.target(part, attribute(item, "id"))):
            title, lines = chart_lines(package, target)
            if title or lines:
                yield title, lines
        elif name == "relIds" and (lines := diagram_lines(package, package.target(part, attribute(item, "dm")))):
            yield "", lines
