// The reader. `element` is the pane's own. Text is set as text: nothing of a source is ever taken for HTML.
const pane = element.closest('#reader') || element;
const narrow = window.matchMedia('(max-width: 900px)');
const ZOOMS = [1, 1.25, 1.5, 2, 3];
const READABLE = 3;    // of these, for a page on a phone; a column of it is as wide as the screen
let asked = null;      // what was asked for first: the quote's place
let shown = null;      // the document that is shown
let found = null;      // where the words stand on the pages of a PDF
let opener = null;     // the mark that focus goes back to
let zoom = 0;
let asText = false;
let turn = 0;          // counts what was asked for; late replies are dropped
let isRefused = false; // this visitor may not open sources

const make = (tag, given = {}, ...inside) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...inside.filter((one) => one !== null && one !== undefined));
  return made;
};
const button = (label, text, onclick, given = {}) =>
  make('button', {type: 'button', 'aria-label': label, title: label, onclick, ...given}, text);

const title = make('h2', {tabindex: '-1'});
const place = make('span', {class: 'place'});
const before = button('Page before', '‹', () => step(-1));
const after = button('Next page', '›', () => step(1));
const smaller = button('Smaller', '−', () => resize(-1));
const larger = button('Larger', '+', () => resize(1));
const view = button('Show the text as it was read', 'As text', () => { asText = !asText; show(); }, {'aria-pressed': 'false'});
const words = button('Back to the words', 'Back to the words', () => open(asked, opener), {class: 'words'});
const original = make('a', {target: '_blank', rel: 'noopener noreferrer'});
const body = make('div', {class: 'body', tabindex: '0', role: 'region', 'aria-label': 'The source'});
const told = make('p', {class: 'told', role: 'status'});
const section = make('section', {'aria-label': 'Reader'},
  make('header', {}, title, original, button('Close the reader', '×', () => close(), {class: 'close'})),
  make('div', {class: 'tools', role: 'toolbar', 'aria-label': 'Reader'},
    make('span', {class: 'turn'}, before, place, after), make('span', {class: 'zoom'}, smaller, larger),
    view, words),
  told, body);
element.replaceChildren(section);

const link = (path, given) => {
  const query = Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== '');
  return `${path}?${new URLSearchParams(query)}`;
};
const ask = async (path, given) => {
  const reply = await fetch(link(path, given));
  const data = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(data.error || 'The source cannot be opened.'), {status: reply.status});
  return data;
};
const say = (text) => { told.textContent = text; };

// -- opening and closing

const open = async (wanted, from, otherwise) => {
  const mine = ++turn;
  let data;
  try {
    data = await ask('reader', wanted);
  } catch (error) {
    if (mine !== turn) return;
    isRefused = error.status === 401 || error.status === 403;
    if (otherwise) return otherwise();
    say(error.message);
    return uncover(from);
  }
  if (mine !== turn) return;
  asked = wanted;
  found = null;
  asText = false;
  zoom = narrow.matches && wanted.end > wanted.start ? READABLE : 0;
  uncover(from);
  await settle(data, mine);
};

const uncover = (from) => {
  opener = from || opener;
  if (!pane.hasAttribute('data-open')) pane.setAttribute('data-open', '');
  const covers = narrow.matches;
  section.setAttribute('role', covers ? 'dialog' : 'region');
  section.toggleAttribute('aria-modal', covers);
  beside().forEach((one) => { one.inert = covers; });
  title.focus({preventScroll: true});
};

const beside = () => [...(pane.parentElement?.children ?? []), ...document.querySelectorAll('#views, #status')]
  .filter((one) => one !== pane);

const close = () => {
  turn++;
  pane.removeAttribute('data-open');
  beside().forEach((one) => { one.inert = false; });
  body.replaceChildren();
  say('');
  if (opener?.isConnected) opener.focus();
};

const isOpen = () => pane.hasAttribute('data-open');

// -- what is shown

const settle = async (data, mine) => {
  shown = data;
  if (data.picture && !found) {
    body.setAttribute('aria-busy', 'true');
    const slow = setTimeout(() => mine === turn && say('Looking for the words in the picture of the page …'), 500);
    const {source, page, title: name, start, end} = asked;
    const places = ask('reader/boxes', {source, page, title: name, start, end});
    found = {pages: data.count, boxes: []};
    show();
    try {
      found = await places;
      if (mine !== turn) return;
      say('');
      if (end > start && !found.boxes.length) {
        asText = true;
        say('The words have no place of their own in the picture; this is the text as it was read.');
      }
    } catch (error) {
      if (mine !== turn) return;
      asText = true;
      say(`${error.message} This is the text as it was read.`);
    } finally {
      clearTimeout(slow);
    }
    body.removeAttribute('aria-busy');
  } else {
    say('');
  }
  show();
};

const show = () => {
  const {picture, kind, count, page, number} = shown;
  const isPicture = picture && !asText;
  title.textContent = shown.title;
  title.title = shown.source;
  const pages = picture ? found.pages : count;
  place.textContent = shown.place + (picture && pages > 1 ? ` of ${pages}` : '');
  before.hidden = after.hidden = pages < 2;
  before.disabled = picture ? page <= 1 : number <= 0;
  after.disabled = picture ? page >= pages : number + 1 >= pages;
  const unit = picture ? 'page' : kind === 'slides' ? 'slide' : 'part';
  before.ariaLabel = before.title = `The ${unit} before`;
  after.ariaLabel = after.title = `The next ${unit}`;
  smaller.parentElement.hidden = !isPicture;
  smaller.disabled = zoom === 0;
  larger.disabled = zoom === ZOOMS.length - 1;
  view.hidden = !picture;
  view.setAttribute('aria-pressed', String(asText));
  words.hidden = !(asked.end > asked.start) || isAtWords();
  original.hidden = !shown.original;
  if (shown.original) original.href = shown.original;
  original.textContent = shown.saves ? 'Save the file' : 'Open the original';
  original.toggleAttribute('download', shown.saves);
  body.replaceChildren(...(isPicture ? drawn() : [text()]));
  if (isPicture) body.querySelector('img').decode().then(toWords, toWords);
  toWords();
};

const isAtWords = () => shown.picture
  ? found.boxes.some((box) => box.page === shown.page) || Number(asked.page) === shown.page
  : Boolean(shown.blocks.some((block) => block.lit.length || block.runs.some((run) => run.lit)));

const toWords = () => {
  const words = [...body.querySelectorAll('.box, mark, tr.lit')], first = words[0];
  if (!first) return body.scrollTo(0, 0);
  // not `scrollIntoView`: it would scroll the page around the pane, too
  const at = first.getBoundingClientRect(), around = body.getBoundingClientRect();
  body.scrollTop += at.top - around.top - Math.max(24, (around.height - at.height) / 3);
  const left = Math.min(...words.map((one) => one.getBoundingClientRect().left));
  if (body.scrollWidth > body.clientWidth) body.scrollLeft += left - around.left - 24;
};

const drawn = () => {
  const factor = ZOOMS[zoom];
  const pixels = Math.max(600, body.clientWidth) * factor * (window.devicePixelRatio || 1);
  const width = Math.min(3000, Math.ceil(pixels / 200) * 200);
  const {source, page, version} = shown;
  const picture = make('img', {
    src: link('reader/page', {source, page, width, version}), alt: `${shown.place} as a picture; its text follows.`,
  });
  picture.addEventListener('error', () => {
    asText = true;
    say('The page cannot be drawn; this is the text as it was read.');
    show();
  });
  const share = (value) => `${(100 * value).toFixed(3)}%`;
  const boxes = found.boxes.filter((box) => box.page === page).map((box) => {
    const made = make('span', {class: 'box', 'aria-hidden': 'true'});
    Object.assign(made.style, {
      left: share(box.left), top: share(box.top), width: share(box.width), height: share(box.height),
    });
    return made;
  });
  const sheet = make('div', {class: 'sheet'}, picture, ...boxes);
  sheet.style.width = `${100 * factor}%`;
  const spoken = text();
  spoken.classList.add('spoken');
  return [sheet, spoken];
};

const runs = (block) => block.runs.map((run) => {
  const inside = run.lit ? make('mark', {}, run.text) : run.text;
  const tag = {strong: 'strong', em: 'em', del: 'del', code: 'code', link: 'u'}[run.style];
  return tag ? make(tag, {}, inside) : inside;
});

const table = (block) => make('div', {class: 'wide', tabindex: '0', role: 'group', 'aria-label': 'Table'},
  make('table', {},
    make('thead', {}, make('tr', {}, ...block.columns.map((name) => make('th', {scope: 'col'}, name)))),
    make('tbody', {}, ...block.rows.map((row, number) => {
      const isLit = block.lit.includes(number);
      const cells = row.map((cell) => make('td', {}, isLit && cell ? make('mark', {}, cell) : cell));
      return make('tr', isLit ? {class: 'lit'} : {}, ...cells);
    }))));

const text = () => {
  const made = make('div', {class: shown.kind === 'sheet' ? 'text rows' : 'text', dir: 'auto'});
  for (const block of shown.blocks) {
    if (block.kind === 'heading') made.append(make(`h${Math.min(6, block.level + 2)}`, {}, ...runs(block)));
    else if (block.kind === 'table') made.append(table(block));
    else if (block.kind === 'rule') made.append(make('hr'));
    else if (block.kind === 'code') made.append(make('pre', {tabindex: '0'}, make('code', {}, ...runs(block))));
    else if (block.kind === 'quote') made.append(make('blockquote', {}, ...runs(block)));
    else if (block.kind === 'item') {
      const item = make('p', {class: 'item'}, make('span', {}, block.label), make('span', {}, ...runs(block)));
      item.style.marginInlineStart = `${1.2 * (block.level - 1)}em`;
      made.append(item);
    } else made.append(make('p', {}, ...runs(block)));
  }
  if (!shown.blocks.length) made.append(make('p', {class: 'empty'}, 'There is no text on this page.'));
  if (shown.before !== null) made.prepend(button('Earlier text', 'Earlier text', () => move(shown.before, true)));
  if (shown.after !== null) made.append(button('Later text', 'Later text', () => move(shown.after, false)));
  return made;
};

// -- moving

const go = async (given) => {
  const mine = ++turn;
  try {
    const data = await ask('reader', given);
    if (mine === turn) await settle(data, mine);
    return mine === turn;
  } catch (error) {
    if (mine === turn) say(error.message);
    return false;
  }
};

const step = async (by) => {
  const {source, page, number, picture} = shown;
  const isBack = picture && Number(asked.page) === page + by;
  const given = picture ? {source, page: page + by, title: asked.title} : {source, number: number + by};
  if (await go(isBack ? asked : given)) say(place.textContent);
};

const move = async (at, isBefore) => {
  const {source, number} = shown;
  if (await go({source, number, at, start: asked.start, end: asked.end})) {
    body.scrollTop = isBefore ? body.scrollHeight : 0;
  }
};

const resize = (by) => {
  zoom = Math.max(0, Math.min(ZOOMS.length - 1, zoom + by));
  show();
};

// -- from the page

const wantedBy = (mark) => {
  const query = mark.getAttribute('href').split('?')[1];
  if (!query) return null;
  const given = Object.fromEntries(new URLSearchParams(query));
  return {...given, start: Number(given.start || 0), end: Number(given.end || 0)};
};

document.addEventListener('read', (event) => {  // a mark was opened, see OPEN_QUOTE
  const wanted = wantedBy(event.target);
  if (!wanted || isRefused) return;
  event.preventDefault();
  open(wanted, event.target, event.detail?.otherwise);
});

document.addEventListener('click', (event) => {
  const quote = event.target.closest('#conversation blockquote');
  const marks = quote?.querySelectorAll('a[href^="#quote-"]') ?? [];
  if (marks.length === 1 && !event.target.closest('a, button') && getSelection().isCollapsed) return marks[0].click();
  const from = event.target.closest('a[href^="#read?"]');
  if (!from) return;
  event.preventDefault();
  open(wantedBy(from), from);
});

document.addEventListener('keydown', (event) => {
  if (!isOpen() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.closest('input, textarea, [contenteditable="true"]');
  if (event.key === 'Escape' && !isTyping) {
    event.preventDefault();
    event.stopPropagation();
    return close();
  }
  if (!section.contains(event.target) || !shown?.picture) return;
  const act = {ArrowLeft: () => before.click(), ArrowRight: () => after.click(), '+': () => resize(1), '-': () => resize(-1)};
  if (act[event.key]) {
    event.preventDefault();
    act[event.key]();
  }
}, true);

narrow.addEventListener('change', () => isOpen() && uncover());
