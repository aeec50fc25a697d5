"""reStructuredText as documentation has it: with Sphinx's roles and directives, code, lists, changes of releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from tests.files import check, load

SPHINX = """\
.. _guide:

Guide
=====

.. toctree::

   other

The :setting:`worker_max` is for `workers`_ that run :py:class:`~celery.Task`, see :ref:`the pool <pool>`
and :doc:`tasks`, as fixed in :pr:`1234`.

.. comment: nobody reads this

.. code-block:: python
   :emphasize-lines: 1
   :caption: app.py

   # Make a client
   client = Client()

   client.get("/")

.. versionchanged:: 2.6
   The pool is closed by ``close()``.

.. note:: It is slow
   at first.

.. option:: --port <int>

   The port.

   **Default:** *8000*.

.. tabs::

   .. code-tab:: shell Linux

      $ run

=========  =====
Signal     Does
=========  =====
``TERM``   stop :sig:`QUIT`
=========  =====

term
    What it means.

:author: Ann
:param int size: How large.

(b) One.
(c) Two,
    with a second line.

    - inner

- .. versionadded:: 4
     In an item.

.. confval:: timeout
   :default: 30

   How long it waits, by :pep:`8`.

.. list-table::
   :header-rows: 1

   * - Plan
     - Includes
   * - Basic
     - * Mail
       * Chat

.. math:: E = mc^2
   :label: eq

.. image:: a.png
   :align: middle
   :unknown: x

.. _workers: https://example.com/workers
"""


def test_what_sphinx_knows_is_read_as_people_see_it(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.rst").write_text(SPHINX, encoding="utf-8")
    document = load(tmp_path / "a.rst", settings)
    check(document)
    assert document.metadata["title"] == "Guide"
    assert [line for line in document.page_content.split("\n") if line] == [
        "# Guide",
        "The `worker_max` is for workers that run `Task`, see the pool and tasks, as fixed in #1234.",
        "app.py:",
        "```python",
        "# Make a client",
        "client = Client()",
        'client.get("/")',
        "```",
        "Changed in version 2.6: The pool is closed by `close()`.",
        "Note: It is slow at first.",
        "`--port <int>`: The port.",
        "**Default:** 8000.",
        "Linux:",
        "```shell",
        "$ run",
        "```",
        "Signal: TERM | Does: stop QUIT",
        "term: What it means.",
        "author: Ann",
        "`size` (int): How large.",
        "(b) One.",
        "(c) Two, with a second line.",
        "    - inner",
        "- New in version 4: In an item.",
        "`timeout` (default: 30): How long it waits, by PEP 8.",
        "Plan: Basic | Includes: Mail Chat",
        "```",
        "E = mc^2",
        "```",
    ]


def test_a_list_of_changes_has_no_release_as_its_title(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "CHANGES.rst").write_text(
        "2.7.0 (2026-05-07)\n====\n\nNew.\n\n2.6.0\n=====\n\nOld.\n", encoding="utf-8"
    )
    (tmp_path / "CHANGES.md").write_text("# 2.7.0 (2026-05-07)\n\nNew.\n\n# 2.6.0\n\nOld.\n", encoding="utf-8")
    for name in ("CHANGES.rst", "CHANGES.md"):
        document = load(tmp_path / name, settings)
        assert document.metadata["title"] == name
        assert [path for _, path, _ in document.metadata["sections"]] == [["2.7.0 (2026-05-07)"], ["2.6.0"]]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Top\n===\n\n  indented\nback\n\nA\n---\n\nx\n\nB\n~~~\n\ny\n\nOdd\n***\n\nz", "indented back x y Odd z"),
        (".. unknown::\n   Inside\n   ------\n\n   words within", "Inside words within"),
        ("A `broken reference_ and |nothing| and :role:`text", "broken reference |nothing|"),
        (".. list-table::\n\n   * - uneven\n   * - a\n     - row", "uneven row"),
        (": :\n\n::\n\n.. note::\n\n.. |x| image:: a.png", ""),
        ("*unclosed emphasis and ``literal", "unclosed literal"),
        ("\x00\x1b[1mcolour", "colour"),
    ],
)  # fmt: skip
def test_nothing_is_lost_of_what_is_not_well_formed(text: str, kept: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.rst").write_text(f"Begin here\n\n{text}\n\nEnd here", encoding="utf-8")
    document = load(tmp_path / "a.rst", settings)
    check(document)
    found = document.page_content
    assert [word for word in ("Begin", *kept.split(), "End") if word not in found] == []
