// The messages of the open conversation: the newest page at first, older ones on scrolling up, and what happens meanwhile.

import { applyAct, mergeRows, targetOf, tickOf } from '../fold.js';
import { $, arrange, dayOf, face, gathering, make } from './dom.js';
import { messageElement, waitingElement } from './message.js';
import { describe, nameOf } from './words.js';

/** So near to an end of what is shown counts as there, in pixels. */
const NEAR = 80;
/** Messages of one person within so long stand together. */
const TOGETHER_MS = 5 * 60_000;
/** How long somebody counts as writing who has said so. */
const TYPING_MS = 6000;

export class Thread {
  /**
   * `ask(name, value)` asks the hub; `lineFor(conversation)` finds its line; `actions` are what can be done with a
   * message; `seen(conversation, cseq)`: somebody has this before their eyes.
   */
  constructor({ ask, lineFor, actions, seen }) {
    Object.assign(this, { ask, lineFor, actions, seen });
    this.me = '';
    this.conversation = null;
    this.outbox = new Map();
    this.rows = new Map();
    this.quoted = new Map();
    this.typing = new Map();
    // What was shown last, by key, to be shown again where nothing has changed.
    this.drawn = new Map();
    this.draw = gathering(() => this.conversation && this.renderNow());
    const scroller = $('scroller');
    scroller.addEventListener('scroll', () => this.onScroll());
    $('messages').addEventListener('keydown', (event) => this.onKey(event));
    document.addEventListener('visibilitychange', () => this.tellSeen());
    addEventListener('focus', () => this.tellSeen());
  }

  fillOutbox(rows) {
    this.outbox = new Map(rows.map((row) => [row.sendNo, row]));
    this.render();
  }

  putOutbox(row) {
    this.outbox.set(row.sendNo, row);
    if (row.send.to === this.conversation) this.render({ toEnd: row.state === 'waiting' });
  }

  /** It waits no more. Whoever has the focus on it goes on with the message that it has become, if it has. */
  sent({ sendNo, cseq }) {
    if (!this.outbox.delete(sendNo)) return;
    const drawn = this.drawn.get(`send ${sendNo}`);
    if (cseq && drawn) drawn.element.dataset.cseq = cseq;
    this.render();
  }

  close() {
    this.conversation = null;
    $('open').hidden = true;
    $('nothing').hidden = false;
  }

  /** Shows a conversation from its end: first what the browser has kept, then what the server says. */
  async open(conversation) {
    this.conversation = conversation;
    this.rows = new Map();
    this.typing = new Map();
    this.more = false;
    $('open').hidden = false;
    $('nothing').hidden = true;
    this.renderHead();
    for (const source of ['kept', 'page']) {
      await this.load(source, 0).catch(() => {});
      if (this.conversation !== conversation) return;
      this.render({ toEnd: true });
    }
  }

  /** What is shown may have holes: the newest page again. */
  refresh() {
    if (this.conversation) this.load('page', 0).then(() => this.render(), () => {});
  }

  async load(source, before) {
    const { conversation } = this;
    const { rows, more } = await this.ask(source, { conversation, before });
    if (this.conversation !== conversation) return;
    for (const row of rows) this.keep(row);
    if (before === 0 || rows.length > 0) this.more = more;
    await this.loadQuoted(rows);
  }

  /** What is answered in these rows, where it is not shown itself. */
  async loadQuoted(rows) {
    const { conversation } = this;
    const missing = rows.map((row) => row.replyTo).filter((cseq) => cseq > 0 && !this.rows.has(cseq));
    if (missing.length === 0) return;
    const found = await this.ask('messages', { conversation, cseqs: [...new Set(missing)] }).catch(() => []);
    for (const row of found) this.quoted.set(`${conversation} ${row.cseq}`, row);
  }

  keep(row) {
    const older = this.rows.get(row.cseq);
    this.rows.set(row.cseq, older ? mergeRows(older, row) : row);
  }

  /** A message or an act has come. */
  async add(row) {
    if (row.conversation !== this.conversation) return;
    if (row.act) {
      const target = this.rows.get(targetOf(row.act));
      if (target) this.rows.set(target.cseq, applyAct(target, row, this.me));
    } else {
      this.typing.delete(row.from);
      if (row.replyTo) await this.loadQuoted([row]);
    }
    this.keep(row);
    this.render();
  }

  lineChanged(line) {
    if (line.conversation !== this.conversation) return;
    this.renderHead();
    this.render();
  }

  // ---------------------------------------------------------------- showing

  renderHead() {
    const line = this.line();
    const name = nameOf(line, this.me);
    const isGroup = this.conversation.startsWith('#');
    $('title').textContent = name;
    face($('thread-face'), name, isGroup);
    const writers = [...this.typing.keys()];
    const members = line.group ? `${line.group.members ?? 1} members` : '';
    const state = line.former ? 'You are not in this group any more' : members;
    $('subtitle').textContent = writers.length > 0 ? `${writers.join(', ')} ${writers.length > 1 ? 'are' : 'is'} writing…` : state;
    $('composer').hidden = line.former;
  }

  line() {
    const none = { conversation: this.conversation, headCseq: 0, readCseq: 0, receipts: {}, peerDeliveredCseq: 0, peerReadCseq: 0 };
    return this.lineFor(this.conversation) ?? none;
  }

  render({ toEnd = false } = {}) {
    if (!this.conversation) return;
    this.toEnd ||= toEnd;
    this.draw();
  }

  renderNow() {
    const scroller = $('scroller');
    const fromEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    const focused = document.activeElement?.closest('.message')?.dataset.cseq;
    const before = this.drawn;
    this.drawn = new Map();
    arrange($('messages'), this.elements(before));
    if (focused && document.activeElement === document.body) this.elementOf(focused)?.focus({ preventScroll: true });
    // What is added above does not move what is read; what comes below is followed by those who are there.
    const isFollowing = this.toEnd || fromEnd < NEAR;
    scroller.scrollTop = scroller.scrollHeight - scroller.clientHeight - (isFollowing ? 0 : fromEnd);
    this.toEnd = false;
    $('more').hidden = !this.more;
    this.tellSeen();
    if (this.more && scroller.scrollHeight <= scroller.clientHeight) this.loadOlder();
  }

  /** `before`: what was drawn last. */
  elements(before) {
    const line = this.line();
    const reuse = (key, shown, draw) => {
      const mark = JSON.stringify(shown);
      const drawn = before.get(key)?.mark === mark ? before.get(key) : { mark, element: draw() };
      this.drawn.set(key, drawn);
      return drawn.element;
    };
    const elements = [];
    let above = null;
    for (const row of [...this.rows.values()].sort((a, b) => a.cseq - b.cseq)) {
      const event = row.act ? describe(row, this.me) : null;
      if (row.act && !event) continue;
      const day = dayOf(row.timeMs);
      if (!above || dayOf(above.timeMs) !== day) elements.push(reuse(day, day, () => make('li', { class: 'day' }, day)));
      const shown = event ?? this.shown(row, line, above);
      elements.push(reuse(row.cseq, shown, () => (event ? make('li', { class: 'event' }, event) : this.element(shown))));
      above = row;
    }
    const waiting = [...this.outbox.values()].filter(({ send }) => send.to === this.conversation && send.act === undefined);
    return [...elements, ...waiting.map((row) => reuse(`send ${row.sendNo}`, row, () => this.waiting(row)))];
  }

  /** All that the look of a message depends on. */
  shown(row, line, above) {
    const isJoined = Boolean(above && !above.act && above.from === row.from && row.timeMs - above.timeMs < TOGETHER_MS);
    const quoted = this.rows.get(row.replyTo) ?? this.quoted.get(`${row.conversation} ${row.replyTo}`) ?? null;
    const tick = row.from === this.me ? tickOf(row, line) : null;
    return { row, me: this.me, tick, quoted, isJoined };
  }

  element(shown) {
    return messageElement(shown, { jump: (cseq) => this.jump(cseq), ...this.actions });
  }

  waiting(row) {
    const discard = () => this.ask('discard', { sendNo: row.sendNo });
    const retry = async () => {
      await this.actions.say(row.send);
      await discard();
    };
    return waitingElement(row, { discard, retry });
  }

  elementOf(cseq) {
    return $('messages').querySelector(`[data-cseq="${Number(cseq)}"]`);
  }

  jump(cseq) {
    const element = this.elementOf(cseq);
    element?.scrollIntoView({ block: 'center', behavior: 'smooth' });
    element?.focus({ preventScroll: true });
  }

  // ---------------------------------------------------------------- reading

  onScroll() {
    if ($('scroller').scrollTop < NEAR) this.loadOlder();
    this.tellSeen();
  }

  async loadOlder() {
    if (!this.more || this.isLoading) return;
    this.isLoading = true;
    const oldest = Math.min(...this.rows.keys());
    try {
      await this.load('page', oldest).catch(() => this.load('kept', oldest));
      this.render();
    } finally {
      this.isLoading = false;
    }
  }

  /** The newest message is on a screen that somebody looks at. */
  tellSeen() {
    if (!this.conversation || document.hidden || !document.hasFocus()) return;
    const { scrollHeight, scrollTop, clientHeight } = $('scroller');
    if (scrollHeight - scrollTop - clientHeight > NEAR) return;
    const newest = Math.max(0, ...this.rows.keys());
    if (newest > this.line().readCseq && this.line().unread > 0) this.seen(this.conversation, newest);
  }

  showTyping({ from, group }) {
    if ((group || from) !== this.conversation) return;
    clearTimeout(this.typing.get(from));
    const timer = setTimeout(() => {
      this.typing.delete(from);
      if (this.conversation) this.renderHead();
    }, TYPING_MS);
    this.typing.set(from, timer);
    this.renderHead();
  }

  /** Up and down go from message to message, a letter does something with one. */
  onKey(event) {
    const element = event.target.closest('.message');
    if (!element || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = this.rows.get(Number(element.dataset.cseq));
    const isMine = row?.from === this.me;
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') this.step(element, event.key === 'ArrowUp' ? -1 : 1);
    else if (event.key === 'Escape') $('text').focus();
    else if (!row || row.gone) return;
    else if (event.key === 'r') this.actions.reply(row);
    else if (event.key === 'e' && isMine) this.actions.edit(row);
    else if (event.key === 'Delete' && isMine) this.actions.recall(row);
    else return;
    event.preventDefault();
  }

  step(element, by) {
    const all = [...$('messages').querySelectorAll('.message')];
    const next = all[all.indexOf(element) + by];
    if (next) next.focus();
    else if (by > 0) $('text').focus();
  }

  /** The newest message, for the keyboard. */
  focusNewest() {
    [...$('messages').querySelectorAll('.message')].at(-1)?.focus();
  }
}
