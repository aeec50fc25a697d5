"""Control words of RTF by what they stand for (Rich Text Format Specification 1.9.1)."""

from __future__ import annotations

SIGNS = {
    "tab": "\t",
    "line": "\n",
    "lbr": "\n",
    "emdash": "—",
    "endash": "–",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "nestcell": " | ",
    "nestrow": "; ",
}
"""Signs that have a word, and what parts the cells and rows of a table within a cell."""

EDGES = frozenset(["header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf"])
"""Headers and footers of pages: of all, left, right and first ones."""

_KEPT_WORDS = (
    "shpinst shptxt dptxbxtext do nesttableprops ud annotation atnauthor footnote fldrslt shpgrp moMath moMathPara mr "
)
KEPT = frozenset(_KEPT_WORDS.split())
"""Groups that old programs pass over (`\\*`), and that are read all the same."""

_SKIPPED_WORDS = (
    "colortbl info pict shppict nonshppict fldinst objdata objclass objname shprslt sp sn sv listtable "
    "listoverridetable rsidtbl generator xmlnstbl themedata colorschememapping latentstyles datastore datafield "
    "filetbl revtbl pgptbl upr bkmkstart bkmkend template nonesttables mmathPict ctrlPr atnid atndate atnref "
    "atnparent atntime atrfstart atrfend ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn xe tc txe rxe formfield "
    "background panose falt fontemb private hlinkbase wgrffmtfilter passwordhash pn pnseclvl leveltext "
    "levelnumbers mtype mchr mbegChr mendChr msepChr mctrlPr mdegHide mlimLoc mgrow msubHide msupHide "
)
SKIPPED = frozenset(_SKIPPED_WORDS.split())
"""Groups without text that a reader of the page sees."""

CHARSETS = {
    77: "mac_roman",
    78: "shift_jis",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
"""Encoding by the character set of a font; other fonts are in the code page of the file."""


def code_page(number: int) -> str:
    """The name of an encoding by the number of its code page; Windows-1252 where it is unknown."""
    name = {10000: "mac_roman", 65001: "utf-8", 1361: "johab"}.get(number, f"cp{number}")
    try:
        b"".decode(name)
    except LookupError:
        return "cp1252"
    return name
