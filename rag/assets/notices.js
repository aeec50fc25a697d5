// Notices over the page: each is one line that opens to its whole text, and can be put away. The browser keeps which
// are away; a notice that is gone is forgotten, so that it shows when the same thing goes wrong again.
const STORE = 'local-rag-chat-put-away';
const MOST_KEPT = 50;
const putAway = () => {
  try { return JSON.parse(localStorage.getItem(STORE)) || []; } catch { return []; }
};
const keep = (keys) => {
  try { localStorage.setItem(STORE, JSON.stringify(keys.slice(-MOST_KEPT))); } catch { /* a private window */ }
};
const opened = new Set();
const hide = () => {
  const away = putAway();
  for (const notice of element.querySelectorAll('[data-notice]')) {
    notice.hidden = away.includes(notice.dataset.notice);
    notice.querySelector('.told').setAttribute('aria-expanded', opened.has(notice.dataset.notice));
  }
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  const notice = button?.closest('[data-notice]');
  if (!notice) return;
  const key = notice.dataset.notice;
  if (button.dataset.action) trigger('click', {action: button.dataset.action});
  else if (button.className === 'away') keep([...putAway().filter((one) => one !== key), key]);
  else if (!opened.delete(key)) opened.add(key);
  hide();
});
watch('value', () => {
  const here = [...element.querySelectorAll('[data-notice]')].map((notice) => notice.dataset.notice);
  const away = putAway();
  const left = away.filter((key) => key.startsWith('note ') || here.includes(key));
  if (left.length < away.length) keep(left);
  hide();
});
hide();
