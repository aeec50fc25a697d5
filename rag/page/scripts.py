"""JavaScript of the page."""

SHOW_VIEW = """
const show = (view) => {
  element.querySelectorAll('button').forEach((one) => one.setAttribute('aria-selected', one.dataset.view === view));
};
element.addEventListener('click', (event) => event.target.dataset.view && show(event.target.dataset.view));
show('chat');
"""
"""On a narrow screen, chat and library are two tabs; on a wide one they stand side by side."""

OPEN_QUOTE = """
document.addEventListener('click', (event) => {
  const mark = event.target.closest('#conversation a[href^="#quote-"], #conversation a[href^="#none-"]');
  if (!mark) return;
  event.preventDefault();
  const note = [...(mark.closest('.role')?.querySelectorAll('.thought-group .title') ?? [])].at(-1);
  if (note && !note.classList.contains('expanded')) note.click();
  let frames = 0;
  const show = () => {
    const place = document.getElementById(mark.hash.slice(1));
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
  if (mark.hash.startsWith('#quote-')) show();
});
"""
"""A click on a mark unfolds the passages and shows the words that support the sentence."""

SAVE_FILE = """
(text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/markdown'}));
  link.download = 'conversation.md';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
"""
"""Saves a text as the file `conversation.md`."""

MARK_STOPPED = """
(messages) => [messages.map((message) => {
  const note = message.metadata;
  if (note?.status !== 'pending') return message;
  return {...message, metadata: {...note, title: `Stopped · ${note.title}`, status: 'done'}};
})]
"""
"""After Stop, the note under the answer says that the answer was stopped. The browser writes that, not the server: as
soon as Stop is pressed, Gradio copies and saves what is shown."""

SETTLE = "() => new Promise((done) => setTimeout(done, 600))"
"""Waits for an update that was on its way when Stop was pressed: it writes over the mark, which is then set again."""
