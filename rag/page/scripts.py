"""JavaScript of the page; longer scripts are files in `rag/assets`."""

from __future__ import annotations

from rag.page.style import ASSETS


def _read(*names: str) -> str:
    """The scripts of the folder `assets`, one after the other, each with names of its own."""
    return "\n".join(f"{{\n{(ASSETS / name).read_text(encoding='utf-8')}}}" for name in names)


NOTICES = _read("notices.js")
"""For the strip over the page: opens its notices and puts them away."""

PAGE = _read("page.js", "marks.js", "copy.js")
"""For the page as a whole: views, keys, drops, what marks tell and what is copied; `element` holds the tabs."""

OPEN_QUOTE = """
document.addEventListener('click', (event) => {
  const mark = event.target.closest('#conversation a[href^="#quote-"], #conversation a[href^="#none-"]');
  if (!mark) return;
  event.preventDefault();
  let frames = 0;
  const show = () => {
    const place = document.getElementById(mark.hash.slice(1).split('?')[0]);
    if (!place) return frames++ < 120 && requestAnimationFrame(show);
    const passage = place.closest('details');
    if (passage) passage.open = true;
    document.querySelectorAll('#conversation .here').forEach((one) => one.classList.remove('here'));
    let words = place;  // several quotes may begin at one place: a span for each stands before the words
    while (words && words.tagName !== 'MARK') words = words.nextElementSibling;
    (words || place).classList.add('here');
    const quote = () => document.querySelector('#conversation .here');
    const near = () => quote()?.scrollIntoView({block: 'center', behavior: 'instant'});
    for (const wait of [0, 100, 400, 800]) setTimeout(near, wait);  // Gradio scrolls, too, when it unfolds the note
  };
  const unfold = () => {
    const note = [...(mark.closest('.role')?.querySelectorAll('.thought-group .title') ?? [])].at(-1);
    if (note && !note.classList.contains('expanded')) note.click();
    if (mark.hash.startsWith('#quote-')) show();
  };
  const asked = new CustomEvent('read', {bubbles: true, cancelable: true, detail: {otherwise: unfold}});
  if (mark.dispatchEvent(asked)) unfold();
});
"""
"""A click on a mark opens the source at the words that support the sentence. Where the reader does not take it (see
`reader.js`), the passages are unfolded and the words shown in them."""

CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-action]');
  if (!button) return;
  const {action, sure, source = '', kind = '', question = ''} = button.dataset;
  if (sure && !window.confirm(sure)) return;
  trigger('click', {action, source, kind, question});
});
"""
"""One listener for all buttons of a list. The server writes the list, and no script in it ever runs."""

_SAVE = """
(text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: '%s'}));
  link.download = '%s';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
"""
SAVE_CONVERSATION = _SAVE % ("text/markdown", "conversation.md")
SAVE_CASES = _SAVE % ("application/x-ndjson", "cases.jsonl")
"""Save a text as a file."""

RETRY = """
() => {
  const below = [...document.querySelectorAll('#conversation .message-buttons-left')].at(-1);
  below?.querySelectorAll('button')[1]?.click();
}
"""
"""Asks the last question again, by the second button below the last answer; its name depends on the language."""

_MARK_PENDING = """
(messages) => {
  const asked = messages.findLastIndex((message) => message.role === 'user');
  const page = document.querySelector('#conversation').dataset;
  if (%s) page.stopped = asked;
  return [messages.map((message, place) => {
    const note = message.metadata;
    if (note?.status !== 'pending' || (place > asked && page.stopped !== String(asked))) return message;
    return {...message, metadata: {...note, title: `Stopped · ${note.title}`, status: 'done'}};
  })];
}
"""
MARK_STOPPED = _MARK_PENDING % "true"
"""After Stop, the note under the answer says that the answer was stopped. The browser writes that, not the server: as
soon as Stop is pressed, Gradio copies and saves what is shown."""

MARK_LATE = _MARK_PENDING % "false"
"""The same once more, except for the answer to a question that was asked after Stop."""

SETTLE = "() => new Promise((done) => setTimeout(done, 600))"
"""Waits for an update that was on its way when Stop was pressed: it writes over the mark, which is then set again."""
