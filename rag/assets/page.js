// The page's views, keys and drops.
const find = (selector) => document.querySelector(selector);
const questionBox = () => find('#main textarea');

// On a narrow screen, chat and library are two tabs; on a wide one they stand side by side.
const show = (view) => {
  for (const tab of element.querySelectorAll('[role="tab"]')) {
    const chosen = tab.dataset.view === view;
    tab.setAttribute('aria-selected', chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
};
element.addEventListener('click', (event) => event.target.dataset.view && show(event.target.dataset.view));
element.addEventListener('keydown', (event) => {
  if (!['ArrowLeft', 'ArrowRight'].includes(event.key)) return;
  const other = element.querySelector('[role="tab"][aria-selected="false"]');
  show(other.dataset.view);
  other.focus();
});
show('chat');

// A new or a saved conversation is seen in the other tab.
document.addEventListener('click', (event) => event.target.closest?.('#conversations :is(button:not(#save), td)') && show('chat'));

// Puts a question into the box and asks it, as if it were typed; the box is closed until an answer is kept.
const ask = (question, tries = 200) => {
  const box = questionBox();
  if (box?.disabled || !find('#main .submit-button')) {
    if (tries) setTimeout(() => ask(question, tries - 1), 50);
    return;
  }
  box.value = question;
  box.dispatchEvent(new Event('input', {bubbles: true}));
  requestAnimationFrame(() => find('#main .submit-button')?.click());
};
document.addEventListener('click', (event) => {
  // Gradio would answer a proposed question without a way to stop it.
  const proposed = event.target.closest?.('#conversation .options button');
  if (!proposed) return;
  event.stopPropagation();
  event.preventDefault();
  ask(proposed.textContent.trim());
}, true);

// Keys: "/" goes to the question box, Esc stops the answer. Enter asks and Shift+Enter breaks the line by themselves.
const isTyping = (target) => target.closest?.('input, textarea, select, [contenteditable="true"]');
document.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === '/' && !isTyping(event.target)) {
    event.preventDefault();
    show('chat');
    questionBox()?.focus();
  } else if (event.key === 'Escape' && !find('#reader[data-open]')) {
    find('#main .stop-button')?.click();
  }
});
// Whoever asks from the library's tab is shown the answer.
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && event.target === questionBox()) show('chat');
}, true);
document.addEventListener('click', (event) => event.target.closest?.('#main .submit-button') && show('chat'), true);

// Gradio takes the hint out of the question box at each question, and does not put it back.
new MutationObserver(() => {
  const box = questionBox();
  if (box && !box.placeholder) box.placeholder = element.querySelector('[data-hint]').dataset.hint;
}).observe(document.body, {subtree: true, attributeFilter: ['placeholder']});

// Files may be dropped anywhere on the page.
const uploads = () => find('#adding') && find('#files input[type="file"]');
const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
let inside = 0;
const light = (on) => document.body.classList.toggle('dropping', on);
document.addEventListener('dragenter', (event) => {
  if (hasFiles(event) && uploads()) light(++inside > 0);
});
document.addEventListener('dragleave', (event) => {
  if (hasFiles(event) && uploads()) light((inside = Math.max(0, inside - 1)) > 0);
});
document.addEventListener('dragover', (event) => hasFiles(event) && uploads() && event.preventDefault());
document.addEventListener('drop', (event) => {
  inside = 0;
  light(false);
  const input = uploads();
  if (!hasFiles(event) || !input || event.target.closest('#files, #main textarea')) return;
  event.preventDefault();
  const given = new DataTransfer();
  for (const file of event.dataTransfer.files) given.items.add(file);
  input.files = given.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
});
document.addEventListener('click', (event) => {
  if (event.target.closest?.('[data-do="choose files"]')) uploads()?.click();
});
