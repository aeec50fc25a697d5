// What is copied from an answer is clean Markdown: marks are plain numbers, and the sources stand below, numbered.
const MARK = /[ \u00a0]?\[(\d+|\?)\]\(#(?:quote|none)-[0-9a-f]+-\d+(?:\?[^\s()"]*)?(?: "[^"\n]*")?\)/g;
const WRITTEN = {'&lt;': '<', '&#92;': '\\', '&#95;': '_', '&#42;': '*', '&#126;': '~'};  // see `rag.page.answer_text`
// What a model thought, or a small one added to its quotes, with its title, or its speaker where the whole conversation is
// copied; see `UNCOPIED`.
const THOUGHT = /^(?:(?:Thinking, \d+ s|What the model made of it[^\n]*)\n {2}|\w+: )?\u2063[^\u2063]*\u2063\n*/gm;
const plain = (markup) => new DOMParser().parseFromString(markup, 'text/html').body.textContent;

// The passages under an answer, as lines: `[1] Title › Section: address`. The HTML is that of `show_passages`
// (rag/page/passages.py), which rag/page/export.py reads back, too.
const sources = (note) => {
  const page = new DOMParser().parseFromString(note, 'text/html');
  return [...page.querySelectorAll('body > details')].map((passage) => {
    const head = passage.querySelector('summary');
    const number = head.querySelector('b')?.textContent;
    head.querySelectorAll('b, small').forEach((one) => one.remove());
    const where = passage.querySelector(':scope > p');
    where?.querySelectorAll('a[href^="#"]').forEach((one) => one.remove());  // links within the page
    const told = where?.textContent.replace(/^[\s·]+/, '').trim();
    const address = where?.querySelector('a')?.getAttribute('href')?.split('#:~:')[0] || told;
    return {number, line: `[${number}] ${head.textContent.trim().replace(/\s+/g, ' ')}: ${address}`};
  });
};
const clean = (copied) => {
  const text = copied.replace(THOUGHT, '').replace(/^assistant: (?=<(?:small|p|details)>)/gm, '');
  if (!/#(quote|none)-[0-9a-f]+-\d|<details><summary><b>\d|&lt;|&#\d/.test(text)) return text;
  const cited = new Set([...text.matchAll(MARK)].map((mark) => mark[1]));
  const notes = [];
  // A note under an answer is its title and, in the next line, the passages as HTML; no title in a whole conversation.
  const NOTE = /^(?:[^\n<]*\n {2})?(?=<)(.*<details><summary><b>1<\/b>.*<\/details>)$/gm;
  let told = text.replace(NOTE, (_, markup) => {
    const listed = sources(markup);
    const used = listed.filter((source) => cited.has(source.number));
    notes.push(1);
    return `\n${(used.length ? used : listed).map((source) => `- ${source.line}`).join('\n')}`;
  });
  told = told.replace(/^<small>([^\n]*)<\/small>$/gm, '\n$1').replace(MARK, ' [$1]');
  told = told.replace(/\u00a0<small>([^<\n]*)<\/small>$/gm, ' $1');
  told = told.replace(/&lt;|&#(?:92|95|42|126);/g, (entity) => WRITTEN[entity]);
  return told.replace(/^((?:assistant: )?> )(.*)$/gm, (_, before, line) => before + plain(line).trim()).replace(/\n{3,}/g, '\n\n').trim() + '\n';
};
if (navigator.clipboard) {
  const write = navigator.clipboard.writeText.bind(navigator.clipboard);
  navigator.clipboard.writeText = (text) => write(clean(text));
}
// Where there is no clipboard (a page over plain HTTP), Gradio copies from a text area of its own.
document.addEventListener('copy', (event) => {
  const box = event.target;
  if (box.tagName !== 'TEXTAREA' || box.style.left !== '-999999px') return;
  event.clipboardData.setData('text/plain', clean(box.value));
  event.preventDefault();
});
