// A mark behind a sentence tells what it stands for: the quote, or what no passage says, beside it. By mouse and keyboard
// it does where they rest. A tap opens the source at the quote; on `?`, it tells what is missing.
const MARKS = '#conversation a[href^="#quote-"], #conversation a[href^="#none-"]';
const hint = document.createElement('p');
hint.id = 'hint';
hint.hidden = true;
hint.setAttribute('role', 'tooltip');
document.body.append(hint);
let shown = null;

// The Markdown of an answer can hold a link with a title: the page makes a button of it that screen readers tell of.
const name = (mark) => {
  const told = mark.title;
  mark.removeAttribute('title');
  mark.dataset.told = told;
  mark.setAttribute('role', 'button');
  const what = mark.hash.startsWith('#quote-') ? `Passage ${mark.textContent}: ${told}` : told;
  mark.setAttribute('aria-label', what);
};
const nameAll = () => document.querySelectorAll('#conversation').forEach((one) => {
  for (const mark of one.querySelectorAll('a[href^="#quote-"][title], a[href^="#none-"][title]')) name(mark);
  // Gradio names a message by its whole text, tags and all, in place of what is read in it.
  for (const message of one.querySelectorAll('[data-testid="bot"][aria-label], [data-testid="user"][aria-label]')) message.removeAttribute('aria-label');
  // Gradio nests a button without a name in that of a folded note.
  for (const arrow of one.querySelectorAll('.thought-group .arrow:not([inert])')) arrow.inert = true;
  for (const note of one.querySelectorAll('.thought-group > .title')) {
    const expanded = String(note.classList.contains('expanded'));
    if (note.getAttribute('aria-expanded') !== expanded) note.setAttribute('aria-expanded', expanded);
  }
});
let planned = false;
new MutationObserver(() => {
  if (!planned) planned = !!requestAnimationFrame(() => { planned = false; nameAll(); });
}).observe(document.body, {childList: true, subtree: true});
nameAll();

const tell = (mark) => {
  if (mark.title) name(mark);
  if (!mark.dataset.told) return;
  hint.textContent = mark.dataset.told;
  hint.hidden = false;
  shown = mark;
  place();
};
const place = () => {
  const at = shown.getBoundingClientRect();
  const {width, height} = hint.getBoundingClientRect();
  const below = at.bottom + 8 + height < innerHeight;
  hint.style.left = `${Math.max(8, Math.min(at.left - 24, innerWidth - width - 8))}px`;
  hint.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - height - 6)}px`;
};
const hide = () => {
  hint.hidden = true;
  shown = null;
};
const markAt = (event) => event.target.closest?.(MARKS);
const isHint = (event) => hint.contains(event.target);
let tapped = false;
document.addEventListener('pointerdown', (event) => { tapped = event.pointerType !== 'mouse'; }, true);
document.addEventListener('pointerover', (event) => {
  if (event.pointerType !== 'mouse') return;
  const mark = markAt(event);
  if (mark) tell(mark);
  else if (shown && !isHint(event)) hide();
});
document.addEventListener('focusin', (event) => {
  const mark = markAt(event);
  if (mark && !tapped && mark.matches(':focus-visible')) tell(mark);
  else if (shown && !mark && !isHint(event)) hide();
});
document.addEventListener('click', (event) => {
  const mark = markAt(event);
  if (mark?.hash.startsWith('#none-')) {
    event.preventDefault();
    event.stopPropagation();
    shown === mark && tapped ? hide() : tell(mark);
  } else if (!isHint(event)) {
    hide();
  }
}, true);
document.addEventListener('keydown', (event) => {
  const mark = event.target.closest?.(MARKS);
  if (event.key === ' ' && mark) {
    event.preventDefault();
    mark.click();
  }
  if (event.key === 'Enter' || event.key === ' ') tapped = false;
  if (event.key === 'Escape' && shown) {
    hide();
    event.stopPropagation();
  }
}, true);
// The conversation scrolls by itself, too, at the end of an answer: the hint goes with its mark, until that is out of sight.
document.addEventListener('scroll', () => {
  if (!shown) return;
  const at = shown.getBoundingClientRect();
  const seen = document.querySelector('#conversation').getBoundingClientRect();
  at.bottom < seen.top || at.top > seen.bottom ? hide() : place();
}, true);
