// The conversation list: who wrote last, when, and how much of it is unread.

import { $, arrange, briefTime, face, gathering, make } from './dom.js';
import { briefly, nameOf } from './words.js';

export class List {
  /** `open(conversation)` is called when somebody chooses one. */
  constructor(open) {
    this.open = open;
    this.me = '';
    this.lines = new Map();
    this.buttons = new Map();
    this.current = null;
    this.render = gathering(() => this.renderNow());
    $('find').addEventListener('submit', (event) => {
      event.preventDefault();
      this.goToName();
    });
    $('find-name').addEventListener('input', () => this.render());
    $('lines').addEventListener('keydown', (event) => this.onKey(event));
  }

  fill(lines, me) {
    this.me = me;
    this.lines = new Map(lines.map((line) => [line.conversation, line]));
    this.render();
  }

  put(line) {
    this.lines.set(line.conversation, line);
    this.render();
  }

  find(conversation) {
    return this.lines.get(conversation);
  }

  choose(conversation) {
    this.current = conversation;
    this.render();
  }

  /** The conversation `step` lines below the current one. */
  neighbour(step) {
    const shown = this.sorted();
    const at = shown.findIndex((line) => line.conversation === this.current);
    return shown[Math.min(Math.max(at + step, 0), shown.length - 1)]?.conversation;
  }

  sorted() {
    const wanted = $('find-name').value.trim().toLowerCase();
    const found = [...this.lines.values()].filter((line) => nameOf(line, this.me).toLowerCase().includes(wanted));
    const time = (line) => line.last?.timeMs ?? 0;
    return found.sort((a, b) => b.pinned - a.pinned || time(b) - time(a) || b.headCseq - a.headCseq);
  }

  /** The first that fits what was typed, or a conversation with somebody new. */
  goToName() {
    const name = $('find-name').value.trim();
    if (!name) return;
    const shown = this.sorted();
    const exact = shown.find((line) => nameOf(line, this.me) === name || line.conversation === name);
    const chosen = exact?.conversation ?? (shown.length > 0 ? shown[0].conversation : name);
    $('find-name').value = '';
    this.open(chosen);
  }

  renderNow() {
    arrange($('lines'), this.sorted().map((line) => this.item(line)));
    const unread = [...this.lines.values()].reduce((sum, line) => sum + line.unread, 0);
    document.title = unread > 0 ? `(${unread}) Hongyan` : 'Hongyan';
  }

  item(line) {
    const { conversation } = line;
    let held = this.buttons.get(conversation);
    if (!held) {
      const button = make('button', { class: 'line', type: 'button', onclick: () => this.open(conversation) });
      held = { item: make('li', {}, button), button, shown: null };
      this.buttons.set(conversation, held);
    }
    if (held.shown !== line) {
      held.shown = line;
      this.fillButton(held.button, line);
    }
    if (conversation === this.current) held.button.setAttribute('aria-current', 'true');
    else held.button.removeAttribute('aria-current');
    return held.item;
  }

  fillButton(button, line) {
    const name = nameOf(line, this.me);
    const unread = line.unread > 999 ? '999+' : String(line.unread);
    button.replaceChildren(
      face(make('span', { 'aria-hidden': 'true' }), name, line.conversation.startsWith('#')),
      make('b', {}, name),
      make('span', { class: 'when' }, line.last ? briefTime(line.last.timeMs) : ''),
      make('span', { class: 'last' }, this.lastText(line)),
    );
    if (line.unread > 0) button.append(make('span', { class: 'unread', 'aria-label': `${unread} unread` }, unread));
  }

  lastText(line) {
    if (!line.last) return '';
    const text = briefly(line.last, this.me);
    if (line.last.act || line.last.gone) return text;
    if (line.last.from === this.me) return `You: ${text}`;
    return line.conversation.startsWith('#') ? `${line.last.from}: ${text}` : text;
  }

  onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...$('lines').querySelectorAll('button')];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  }
}
