"""The README fails when it lies: settings, flags, routes, requirements and commands are compared with the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from rag.doors.flags import parse_flags
from rag.settings import Settings
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
HOW = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
PACKAGES = {
    "bs4": "beautifulsoup4",
    "markdown_it": "markdown-it-py",
    "oxmsg": "python-oxmsg",
    "docx": "python-docx",
    "pptx": "python-pptx",
    "dotenv": "python-dotenv",
    "stemmer": "pystemmer",
    "spellchecker": "pyspellchecker",
    "yaml": "pyyaml",
}


def python_files() -> list[Path]:
    return [ROOT / "app.py", *sorted((ROOT / "rag").rglob("*.py")), *sorted((ROOT / "tests").glob("*.py"))]


def test_the_settings_table_is_the_settings() -> None:
    rows = re.findall(r"^\| `(RAG_\w+)` \| (?:`(.*?)`)? *\| (.*) \|$", REFERENCE, re.M)
    told = {name: (default, text) for name, default, text in rows}
    assert list(told) == [f"RAG_{name.upper()}" for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        default, text = told[f"RAG_{name.upper()}"]
        assert text == field.description
        if field.default_factory is None:
            value = field.default
            shown = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
            assert default == shown, name


def test_every_flag_in_the_readme_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_flags(["--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for line in re.findall(r"^.*(?:app\.py|ARGS=).*$", README, re.M):
        assert set(re.findall(r"--[a-z-]+", line)) <= flags, line
    assert {"--source", "--model", "--embeddings", "--data-dir", "--host", "--port", "--share", "--open"} <= flags


def test_every_make_target_in_the_readme_is_one() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"^make (\w+)", README, re.M)) <= targets


def test_the_space_starts_what_is_here() -> None:
    front = README.split("---")[1]
    assert "sdk: gradio" in front
    assert "app_file: app.py" in front
    version = re.search(r"sdk_version: (\S+)", front)
    assert version
    assert f"gradio=={version[1]}\n" in (ROOT / "requirements.txt").read_text(encoding="utf-8")


def test_every_direct_import_is_in_the_requirements() -> None:
    listed = {name: listed_in(name) for name in ("requirements.txt", "requirements-dev.txt")}
    extras = {
        "mcp",
        "opentelemetry_exporter_otlp_proto_http",
        "psycopg",
    }  # of pyproject.toml: imported where they are installed
    for_app = listed["requirements.txt"] | extras
    for_all = for_app | listed["requirements-dev.txt"]
    own = {"app", "rag", "tests", "bench"} | set(sys.stdlib_module_names)
    for path in python_files():
        needed = for_app if path == ROOT / "app.py" or ROOT / "rag" in path.parents else for_all
        for name in re.findall(
            r"^\s*(?:from|import) ([a-z_]\w*)[\w.]*(?= import |$)", path.read_text(encoding="utf-8"), re.M
        ):
            assert name in own or PACKAGES.get(name, name).replace("-", "_").lower() in needed, f"{path.name}: {name}"


def listed_in(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {re.split(r"[=<>\[ ]", line)[0].replace("-", "_").lower() for line in lines if line[:1].isalpha()}


def test_the_files_that_the_readme_names_are_there() -> None:
    for name in set(re.findall(r"(?<![\w/])(?:rag|docs|tests)/[\w./-]+\.\w+", README + REFERENCE + HOW)):
        assert (ROOT / name).exists(), name


def test_the_tests_that_the_page_on_reliability_names_are_there() -> None:
    """Each of the plan's scenarios has its row, its tests are where they are said to be, and long where they say so."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [row.split("|") for row in re.findall(r"^\|.*\|$", text, re.M) if "test_" in row]
    named = {row[1].strip() for row in rows} - {""}
    assert named == {f"R{number}" for number in range(1, 17)} | {f"S{number}" for number in range(1, 11)}
    for row in rows:
        file = ""
        for given, name, starred in re.findall(r"`(?:(test_\w+\.py)::)?(test_\w+)`(\*?)", row[3]):
            file = given or file
            code = (ROOT / "tests" / file).read_text(encoding="utf-8")
            found = re.search(rf"((?:^@.*\n|^ .*\n|^\).*\n|^\]\)?\n)*)^(?:async )?def {name}\(", code, re.M)
            assert found, f"{file} has no {name}"
            assert bool(starred) <= (
                "soak" in found[1] or "pytestmark = [pytest.mark.soak" in code or "LENGTHS" in found[1]
            ), name


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_the_lock_fits_the_requirements(name: str) -> None:
    """`make lock` was run after the last change of the requirements: `make setup` installs the lock."""
    from packaging.requirements import Requirement

    lines = (ROOT / f"{name}.lock").read_text(encoding="utf-8").splitlines()
    locked = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[a-z0-9]", line)]
    wanted = [line.partition("#")[0].strip() for line in (ROOT / f"{name}.txt").read_text().splitlines()]
    wanted = [line for line in wanted if not line.startswith("-r ")]
    for each in map(Requirement, filter(None, wanted)):
        versions = [str(item.specifier).removeprefix("==") for item in locked if item.name == canonical(each.name)]
        assert versions, f"{each.name} is not locked: run `make lock`"
        assert all(each.specifier.contains(version, prereleases=True) for version in versions), each
    text = "\n".join(lines)
    assert text.count("--hash=sha256:") > 3 * len(locked)
    assert "index-url" not in text and "://" not in text, "the lock names a host"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
