// What this device has to say: every message has its number and is on disk before it leaves, and stays until it is
// answered. One is under way at a time, so that order and numbers are never in question.

import { Cut, Pause } from './cut.js';

/** Keys of the newest messages that are remembered. */
const KEYS = 128;
/** What a text is wrapped in, in bytes. */
const FRAMING = 8;
/** Refusals with a code below this are passing. */
const FIRST_PERMANENT = 16;

export class Outbox {
  constructor(device, timeline, figures, tell) {
    Object.assign(this, { device, timeline, figures, tell });
    this.way = null;
    this.running = null;
    this.pause = new Pause();
    // Counts what may have changed the answer to "is there anything to send?".
    this.changes = 0;
    this.wake = () => {};
  }

  /** Everything that waits or was refused, oldest first. */
  rows() {
    return this.device.store.read((tables) => tables.all('outbox'));
  }

  /** Takes a message or an act, durably. `key` names it: the same one is taken once. */
  async add(send, key) {
    this.checkSize(send.text ?? send.act?.edit?.text ?? '');
    const row = await this.device.change(async (tables, account) => {
      if (account.keys.includes(key)) return null;
      account.keys = [...account.keys, key].slice(-KEYS);
      account.lastSendNo += 1;
      const row = { sendNo: account.lastSendNo, key, send, state: 'waiting', atMs: Date.now() };
      await tables.put('outbox', row);
      return row;
    });
    if (row) this.tell('outbox', row);
    this.changed();
  }

  /** What the server could not even read would be in the way of all that follows. */
  checkSize(text) {
    const most = this.device.account?.maxContent ?? 0;
    const bytes = new TextEncoder().encode(text).length + FRAMING;
    if (most > 0 && bytes > most) throw new Error(`This is too long: ${bytes} bytes, and the server takes ${most}.`);
  }

  /** Forgets a message that was refused. */
  async discard(sendNo) {
    await this.device.change(async (tables) => {
      const row = await tables.find('outbox', sendNo);
      if (row?.state === 'refused') await tables.remove('outbox', sendNo);
    });
    this.tell('sent', { sendNo });
  }

  /** Sends over this way from now on, until the next call; null: over none. */
  use(way) {
    this.way = way;
    this.pause.wake();
    this.changed();
    if (way) this.running = this.run(way, this.running);
  }

  changed() {
    this.changes += 1;
    this.wake();
  }

  async run(way, before) {
    await before;
    this.pause = new Pause();
    while (this.way === way) {
      const seen = this.changes;
      const row = (await this.rows()).find((row) => row.state === 'waiting');
      if (!row) {
        await this.anythingNew(seen);
        continue;
      }
      try {
        const waitMs = await this.deliver(way, row);
        if (waitMs === 0) this.pause.reset();
        else await this.pause.wait(this.pause.next(waitMs));
      } catch (error) {
        if (this.way === way) await this.pause.wait(this.pause.next(Cut.of(error).retryAfterMs));
      }
    }
  }

  async anythingNew(seen) {
    if (this.changes !== seen) return;
    await new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  /** Sends one message and keeps what is answered. How long to wait before the next, in milliseconds. */
  async deliver(way, row) {
    const sentAt = Date.now();
    const { ack, nack } = await way.send({ ...row.send, sendNo: row.sendNo });
    if (ack) {
      this.figures.answered(sentAt);
      this.figures.compareClocks(sentAt, Number(ack.timeMs));
      await this.timeline.answered(row, ack);
      return 0;
    }
    if (nack.code < FIRST_PERMANENT) return Math.max(nack.retryAfterMs, 250);
    await this.refuse(row, nack.message);
    return 0;
  }

  async refuse(row, reason) {
    const refused = { ...row, state: 'refused', reason };
    const isShown = row.send.act === undefined;
    await this.device.change(async (tables, account) => {
      account.answeredSendNo = Math.max(account.answeredSendNo, row.sendNo);
      if (isShown) await tables.put('outbox', refused);
      else await tables.remove('outbox', row.sendNo);
    });
    if (isShown) return this.tell('outbox', refused);
    this.tell('sent', { sendNo: row.sendNo });
    this.tell('notice', { text: `That could not be done: ${reason}` });
  }
}
