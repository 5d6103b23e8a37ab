// The user's log as it arrives: entries are applied in order, each once, in transactions that also move the cursor. Tabs
// are told, and the server gets its ack, when all of it is on disk.

import {
  advanceLine,
  applyAct,
  applyReceipt,
  conversationOf,
  isUncertain,
  lineOf,
  mergeRows,
  rowOf,
  targetOf,
} from './fold.js';
import { messagesBetween } from './store.js';

/** So many messages of a conversation are kept in the browser; older ones are asked for. */
const KEPT = 500;
/** How long a hole in the numbers may stay before the server is asked to fill it. */
const HOLE_MS = 200;

export class Timeline {
  /**
   * `tell(name, value)` goes to the tabs; `doubt(conversation)`: this line has to be asked for; `stored(cursor)`;
   * `hole(cursor)`: what follows is missing.
   */
  constructor(device, figures, { tell, doubt, stored, hole }) {
    Object.assign(this, { device, figures, tell, doubt, stored, hole });
    this.waiting = [];
    this.working = null;
    this.holeTimer = null;
  }

  /** Entries of the log, in the order in which they came. */
  add(entries) {
    for (const entry of entries) this.waiting.push({ entry });
    return this.work();
  }

  /** The answer to a message of this device: it may be the next thing in the log too. */
  answered(sent, ack) {
    this.waiting.push({ sent, ack });
    return this.work();
  }

  /** The server has pushed everything up to here: it is noticed if something is missing. */
  expect(head) {
    if (head > this.device.account.cursor) this.watchHole();
  }

  work() {
    this.working ??= this.drain().finally(() => {
      this.working = null;
    });
    return this.working;
  }

  async drain() {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0);
      const me = this.device.account?.uid;
      if (!me) return;
      const batched = new Batch(me, this.figures);
      await this.device.change((tables, account) => batched.apply(tables, account, batch));
      for (const row of batched.rows) this.tell('message', row);
      for (const line of batched.lines.values()) this.tell('line', line);
      for (const place of batched.gone) this.tell('sent', place);
      for (const row of batched.kept) this.tell('outbox', row);
      for (const conversation of batched.stale) this.tell('stale', { conversation });
      for (const conversation of batched.doubtful) this.doubt(conversation);
      if (batched.hasHole) this.watchHole();
      this.stored(this.device.account.cursor);
    }
  }

  watchHole() {
    const before = this.device.account.cursor;
    this.holeTimer ??= setTimeout(() => {
      this.holeTimer = null;
      if (this.device.account?.cursor === before) this.hole(before);
    }, HOLE_MS);
  }
}

/** What is applied in one transaction. */
class Batch {
  constructor(me, figures) {
    this.me = me;
    this.figures = figures;
    this.rows = [];
    this.lines = new Map();
    // What need not be sent any more, by its number, with the place it has; and what has an answer but not its place in the log yet.
    this.gone = [];
    this.kept = [];
    // Lines to be asked for, and conversations of which a tab may have missed something.
    this.doubtful = new Set();
    this.stale = new Set();
    this.hasHole = false;
  }

  async apply(tables, account, items) {
    for (const { entry, sent, ack } of items) {
      if (sent) await this.applyAnswer(tables, account, sent, ack);
      else await this.applyEntry(tables, account, entry);
    }
    for (const [conversation, line] of this.lines) {
      if (this.doubtful.has(conversation)) line.isDoubtful = true;
      await tables.put('lines', line);
    }
  }

  async applyAnswer(tables, account, sent, ack) {
    account.answeredSendNo = Math.max(account.answeredSendNo, sent.sendNo);
    const useq = Number(ack.useq ?? 0);
    if (useq > account.cursor + 1) {
      // Others come before it. The log brings it in its turn.
      const row = { ...sent, state: 'sent', cseq: Number(ack.cseq), timeMs: Number(ack.timeMs) };
      await tables.put('outbox', row);
      this.kept.push(row);
      return;
    }
    await this.drop(tables, sent.sendNo, ack.cseq);
    if (useq === account.cursor + 1) {
      account.cursor = useq;
      const message = { ...sent.send, from: this.me, cseq: ack.cseq, timeMs: ack.timeMs };
      await this.applyMessage(tables, message, true);
    }
  }

  async applyEntry(tables, account, entry) {
    const useq = Number(entry.useq ?? 0);
    if (useq > 0) {
      if (useq <= account.cursor) return;
      if (useq > account.cursor + 1) {
        this.hasHole = true;
        return;
      }
      account.cursor = useq;
    }
    if (entry.ownSendNo) {
      const sendNo = Number(entry.ownSendNo);
      account.answeredSendNo = Math.max(account.answeredSendNo, sendNo);
      await this.drop(tables, sendNo, entry.message?.cseq);
    }
    if (entry.message) await this.applyMessage(tables, entry.message, useq > 0);
    if (entry.receipt) {
      const line = await this.line(tables, entry.receipt.conversation);
      if (line) this.lines.set(line.conversation, applyReceipt(line, entry.receipt));
    }
    if (entry.conversation) {
      const older = await this.line(tables, entry.conversation.conversation);
      this.lines.set(entry.conversation.conversation, lineOf(entry.conversation, older));
    }
    if (entry.hint) this.catchUp(entry.hint.conversation);
  }

  async applyMessage(tables, message, isLogged) {
    const row = rowOf(message, conversationOf(message, this.me));
    const { conversation } = row;
    const known = await this.line(tables, conversation);
    if (!known) this.doubtful.add(conversation);
    const line = known ?? lineOf({ conversation }, null);
    if (!isLogged && known && row.cseq > line.headCseq + 1) this.catchUp(conversation);
    if (isUncertain(line, row)) this.doubtful.add(conversation);
    const isNews = row.cseq > line.headCseq;
    this.lines.set(conversation, advanceLine(line, row, this.me));
    if (row.act) {
      const target = await tables.find('messages', [conversation, targetOf(row.act)]);
      if (target) await tables.put('messages', applyAct(target, row, this.me));
    }
    const older = await tables.find('messages', [conversation, row.cseq]);
    await tables.put('messages', older ? mergeRows(older, row) : row);
    if (row.cseq % 100 === 0 && row.cseq > KEPT) {
      await tables.remove('messages', messagesBetween(conversation, 0, row.cseq - KEPT));
    }
    this.rows.push(row);
    if (isNews && row.from !== this.me) this.figures.delivered(row.timeMs);
  }

  /** A large group has more than was pushed. */
  catchUp(conversation) {
    this.doubtful.add(conversation);
    this.stale.add(conversation);
  }

  async line(tables, conversation) {
    return this.lines.get(conversation) ?? (await tables.find('lines', conversation));
  }

  async drop(tables, sendNo, cseq) {
    await tables.remove('outbox', sendNo);
    this.gone.push({ sendNo, cseq: Number(cseq ?? 0) });
  }
}
