"""Small files that once failed, through the whole app: read, found, and answered, mostly by quotes alone."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.conftest import AppStarter, RunningApp, wait_until

CASES = Path(__file__).parent / "data" / "cases"
FILES = ("csvpreamble/de.csv", "docx/lease.docx", "pdf/table.pdf", "pdf/form.pdf", "pptx/deck.pptx")
FILES += ("shortlines/campsite.md", "xlsx/budget.xlsx")


@pytest.fixture(scope="module")
def app(start_shared_app: AppStarter, tmp_path_factory: pytest.TempPathFactory) -> RunningApp:
    data = tmp_path_factory.mktemp("cases") / "data"
    sources = [flag for name in FILES for flag in ("--source", str(CASES / name))]
    app = start_shared_app("--data-dir", str(data), *sources, "--model", "none")
    wait_until(lambda: app.health()["sources"] == len(FILES), 90, lambda: str(app.health()))
    return app


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What was the Umsatz in Kiel?", ["Ort: Kiel", "Umsatz: 1.250,50"]),
        ("What is the rent per month of Otter Books?", ["Tenant: Otter Books", "Rent per month: 950"]),
        ("Who approved the lease on 3 May 2026?", ["Dr. Oyelaran"]),
        ("What is the adult fare from Arden to Coll?", ["Route: Arden - Coll", "Adult: 22.00"]),
        ("What is the licence number of Rosalind Okafor?", ["LN-88213"]),
        ("What was the revenue in Norway?", ["Norway", "73"]),
        ("What does a cabin at the campsite cost per night?", ["Cabin", "72 euros"]),
        ("Who is the warden of the campsite?", ["Greta Moll"]),
        ("When is the roof repair due?", ["Roof repair", "2026-03-14"]),
        ("What is the humidity of sensor S-0400?", ["sensor: S-0400", "humidity_percent: "]),
    ],
)
def test_it_is_found_and_answered(app: RunningApp, question: str, words: list[str]) -> None:
    reply = httpx.get(f"{app.url}predict", params={"query": question, "sources": "true"}, timeout=120)
    told = reply.json()
    lines = [line for source in told["sources"] for line in source["text"].split("\n")]
    assert any(all(word in line for word in words) for line in lines), lines
    assert told["answer"] and not told["refused"], told


def test_an_edited_file_that_is_uploaded_again_tells_the_new_price_alone(start_app: AppStarter, tmp_path: Path) -> None:
    """As from another program: a folder's file is written anew, and only its new text answers."""
    (tmp_path / "prices.md").write_text("# Prices\n\nA day ticket costs 11 euros.\n")
    data = str(tmp_path / "data")
    app = start_app("--data-dir", data, "--source", str(tmp_path / "prices.md"), "--model", "none")
    token = (tmp_path / "data" / "holder.json").read_text().partition('"token": "')[2].partition('"')[0]
    (tmp_path / "prices.md").write_text("# Prices\n\nA day ticket costs 18 euros.\n")
    with httpx.Client(base_url=app.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as owner:
        owner.post("/library", json={"sources": [str(tmp_path / "prices.md")]})
        wait_until(lambda: not owner.get("/library").json()["busy"], 60)
        told = owner.get("/predict", params={"query": "What does a day ticket cost?", "sources": "true"}).json()
    text = " ".join(source["text"] for source in told["sources"])
    assert "18 euros" in text and "11 euros" not in text and "11" not in told["answer"]
