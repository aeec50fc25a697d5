// A mark behind a sentence tells what it stands for: the quote, or what no passage says. By mouse and keyboard beside
// it; a tap shows the same with a button that opens the source.
const MARKS = '#conversation a[href^="#quote-"], #conversation a[href^="#none-"]';
const hint = document.createElement('div');
hint.id = 'hint';
hint.hidden = true;
hint.innerHTML = '<p id="hint-text"></p><button>Open the source</button>';
document.body.append(hint);
const [text, open] = hint.children;
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

const tell = (mark, byTap) => {
  if (mark.title) name(mark);
  if (!mark.dataset.told) return;
  text.textContent = mark.dataset.told;
  open.hidden = !byTap || !mark.hash.startsWith('#quote-');
  hint.setAttribute('role', open.hidden ? 'tooltip' : 'dialog');
  open.hidden ? hint.removeAttribute('aria-labelledby') : hint.setAttribute('aria-labelledby', 'hint-text');
  hint.hidden = false;
  const at = mark.getBoundingClientRect();
  const {width, height} = hint.getBoundingClientRect();
  const below = at.bottom + 8 + height < innerHeight;
  hint.style.left = `${Math.max(8, Math.min(at.left - 24, innerWidth - width - 8))}px`;
  hint.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - height - 6)}px`;
  shown = mark;
};
const hide = () => {
  hint.hidden = true;
  shown = null;
};
const markAt = (event) => event.target.closest?.(MARKS);
let tapped = false;
document.addEventListener('pointerdown', (event) => { tapped = event.pointerType !== 'mouse'; }, true);
document.addEventListener('pointerover', (event) => {
  if (event.pointerType !== 'mouse') return;
  const mark = markAt(event);
  if (mark) tell(mark, false);
  else if (shown && open.hidden && !event.target.closest?.('#hint')) hide();
});
document.addEventListener('focusin', (event) => {
  const mark = markAt(event);
  if (mark && !tapped && mark.matches(':focus-visible')) tell(mark, false);
  else if (shown && !mark && !event.target.closest?.('#hint')) hide();
});
document.addEventListener('click', (event) => {
  const mark = markAt(event);
  if (open.contains(event.target)) {
    const source = shown;
    hide();
    tapped = false;
    source?.click();
  } else if (!mark) {
    if (shown && !event.target.closest?.('#hint')) hide();
  } else if (mark.hash.startsWith('#none-') || tapped) {
    event.preventDefault();
    event.stopPropagation();
    shown === mark && !hint.hidden && tapped ? hide() : tell(mark, tapped);
  } else {
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
document.addEventListener('scroll', () => shown && hide(), true);
