// Where messages are written: new ones, answers, and changes of what was said before.

import { $ } from './dom.js';
import { briefly } from './words.js';

/** Others are told at most so often that somebody writes. */
const TYPING_MS = 3000;

export class Composer {
  /** `say(send)` hands a message in; `typing()` tells others; `up()`: the arrow was pressed in an empty field. */
  constructor({ say, typing, up }) {
    Object.assign(this, { say, typing, up });
    this.conversation = null;
    this.about = null;
    this.drafts = new Map();
    this.toldTypingAt = 0;
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    $('about-drop').addEventListener('click', () => this.drop());
    $('text').addEventListener('keydown', (event) => this.onKey(event));
    $('text').addEventListener('input', () => this.onInput());
  }

  open(conversation, me) {
    if (this.conversation) this.drafts.set(this.conversation, $('text').value);
    this.drop();
    Object.assign(this, { conversation, me });
    $('text').value = this.drafts.get(conversation) ?? '';
    // On a touch screen the keyboard would cover what one wants to read.
    if (matchMedia('(hover: hover)').matches) $('text').focus();
  }

  reply(row) {
    this.aim({ replyTo: row.cseq }, `Reply to ${row.from === this.me ? 'yourself' : row.from}: ${briefly(row, this.me)}`);
  }

  edit(row) {
    this.aim({ edit: row.cseq }, `Edit: ${briefly(row, this.me)}`);
    $('text').value = row.text;
  }

  aim(about, text) {
    this.about = about;
    $('about-text').textContent = text;
    $('about').hidden = false;
    $('text').focus();
  }

  drop() {
    if (this.about?.edit) $('text').value = '';
    this.about = null;
    $('about').hidden = true;
  }

  async submit() {
    const text = $('text').value.trim();
    if (!text || !this.conversation) return;
    const { about, conversation } = this;
    const send = { to: conversation };
    if (about?.edit) send.act = { edit: { cseq: about.edit, text } };
    else send.text = text;
    if (about?.replyTo) send.extras = { replyTo: about.replyTo };
    this.about = null;
    $('about').hidden = true;
    $('text').value = '';
    this.toldTypingAt = 0;
    try {
      await this.say(send);
    } catch (error) {
      // It was not taken: nothing that was written gets lost.
      if (this.conversation === conversation && !$('text').value) $('text').value = text;
      throw error;
    }
  }

  onKey(event) {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === 'Escape' && this.about) {
      this.drop();
    } else if (event.key === 'ArrowUp' && !$('text').value) {
      event.preventDefault();
      this.up();
    }
  }

  onInput() {
    if (!this.conversation || Date.now() - this.toldTypingAt < TYPING_MS) return;
    this.toldTypingAt = Date.now();
    this.typing(this.conversation);
  }
}
