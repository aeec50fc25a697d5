"""One of two replicas on PostgreSQL is killed again and again while both take pages in. `-m soak` runs it."""

from __future__ import annotations

import random
import re
import signal
import threading
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from rag.library.database import Database, open_database
from rag.library.revisions import Revisions
from rag.library.schema import revisions
from tests.conftest import Pages, wait_until
from tests.team import add, html, running_team, sources_of

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

SEED = 50
KILLS = 25
NOTES = 60
"""Paragraphs of a page."""
LATEST_KILL = 4.0
"""Seconds after sources were given at which a replica is killed, at most: three pages take about that."""
MARKED = re.compile(r"Note (\d+) of page \d+, edition (\d+)\.")


def page(number: int, edition: int) -> str:
    notes = [
        f"Note {note} of page {number}, edition {edition}. {'Agents plan their steps. ' * 20}" for note in range(NOTES)
    ]
    return html(f"Page {number}", *notes)


def read(database: Database, source: str) -> set[tuple[str, str]]:
    """The notes, each with its edition, in the chunks that questions see of a source."""
    seen = select(revisions.c.id).where(
        revisions.c.source == source, revisions.c.added.is_not(None), revisions.c.removed.is_(None)
    )
    with database.read() as connection:
        [revision] = connection.execute(seen).scalars()
    chunks = Revisions(database).chunks_of(revision)
    return {found for chunk in chunks for found in MARKED.findall(chunk.page_content)}


def test_a_replica_killed_at_random_moments_loses_nothing(tmp_path: Path, pages: Pages) -> None:
    rng, editions, halves, looks = random.Random(SEED), dict[str, int](), 0, 0
    with running_team(tmp_path) as team:
        database = open_database(tmp_path, team.database)

        def whole(source: str) -> bool:
            """Whether all of a source is there, in one of its editions; else a test fails."""
            notes = read(database, source)
            assert {note for note, _ in notes} == {str(note) for note in range(NOTES)}, source
            assert len({edition for _, edition in notes}) == 1, f"two editions of {source}"
            return notes == {(str(note), str(editions[source])) for note in range(NOTES)}

        for kill in range(KILLS):
            known = sorted(editions)
            edited = rng.sample(known, min(2, len(known)))
            new = f"{pages.url}/{kill}"
            for source in [*edited, new]:
                editions[source] = editions.get(source, -1) + 1
                number = source.rpartition("/")[2]
                pages.pages[f"/{number}"] = page(int(number), editions[source])
            giver, victim = rng.choice(team.replicas), rng.choice(team.replicas)
            other = next(each for each in team.replicas if each is not victim)
            add(giver.url, new)
            if edited:
                refresh(giver.url, edited)
            killed = threading.Timer(rng.uniform(0.1, LATEST_KILL), victim.process.send_signal, [signal.SIGKILL])
            killed.start()
            victim.process.wait(60)
            halves += any(state != "ready" for state in sources_of(other.url).values())
            for source in known:
                whole(source)
                looks += 1
            wait_until(partial(done, other.url, new), 120)
            refresh(other.url, edited)  # one that was given to a replica that was just being killed is given again
            wait_until(partial(done, other.url, new), 120)
            wait_until(lambda: all(map(whole, editions)), 120)
            team.revive()
            print(f"kill {kill + 1}: {len(editions)} pages whole")
        database.close()
    print(f"{KILLS} kills, in {halves} of them work was under way; {looks} looks at a page meanwhile, none half")
    assert halves, "no kill came in the middle of work: this has shown nothing"


def refresh(url: str, sources: list[str]) -> None:
    if sources:
        httpx.post(f"{url}library/refresh", json={"sources": sources}, timeout=60).raise_for_status()


def done(url: str, source: str) -> bool:
    """Whether a replica has no work left, and the source is there."""
    states = sources_of(url)
    return states.get(source) == "ready" and set(states.values()) == {"ready"}
