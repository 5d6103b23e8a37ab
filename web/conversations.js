// The conversation list and the pages of messages: from the server where it can be asked, from what this browser has kept
// where not.

import { lineOf, mergeRows, rowsOfPage } from './fold.js';
import { messagesBetween } from './store.js';

const PAGE = 50;
const LIST_PAGE = 200;

export class Conversations {
  /** `way()`: what can be asked now. */
  constructor(device, timeline, way, tell) {
    Object.assign(this, { device, timeline, way, tell });
  }

  lines() {
    return this.device.store.read((tables) => tables.all('lines'));
  }

  /** After a login: the whole list once, later only the lines of which something was missed. */
  async refresh() {
    try {
      if (!this.device.account.isListed) await this.loadList();
      const doubtful = (await this.lines()).filter((line) => line.isDoubtful);
      for (const line of doubtful) await this.lookUp(line.conversation);
    } catch {
      // The connection broke; the next one does it.
    }
  }

  async loadList() {
    let after = 0;
    do {
      const { conversations: page } = await this.ask({ conversations: { after, limit: LIST_PAGE } });
      await this.keepLines(page.conversations ?? []);
      after = Number(page.next ?? 0);
    } while (after > 0);
    await this.device.change((_, account) => {
      account.isListed = true;
    });
    this.tell('lines', await this.lines());
  }

  /** Asks for one line anew. */
  async lookUp(conversation) {
    const { conversations: page } = await this.ask({ conversations: { conversation } });
    const lines = await this.keepLines(page.conversations ?? []);
    for (const line of lines) this.tell('line', line);
  }

  /** Takes lines that are not older than what has been folded here since they were asked for. */
  keepLines(told) {
    return this.device.change(async (tables) => {
      const kept = [];
      for (const each of told) {
        const older = await tables.find('lines', each.conversation);
        const line = lineOf(each, older);
        if (older && older.headCseq > line.headCseq) continue;
        await tables.put('lines', line);
        kept.push(line);
      }
      return kept;
    });
  }

  /** What this browser has of the messages below `before`, 0: the newest. */
  async kept(conversation, before = 0) {
    const range = messagesBetween(conversation, 0, before || Infinity);
    const rows = await this.device.store.read((tables) => tables.all('messages', range));
    return { rows: rows.slice(-PAGE), more: rows.length > PAGE };
  }

  /** The same as the server has it. */
  async page(conversation, before = 0) {
    const { history } = await this.ask({ history: { conversation, before, limit: PAGE } });
    const rows = rowsOfPage(history, conversation);
    return { rows: before ? rows : await this.keepNewest(conversation, rows), more: history.more ?? false };
  }

  async messages(conversation, cseqs) {
    const { messages } = await this.ask({ messages: { conversation, cseqs } });
    return rowsOfPage(messages, conversation);
  }

  /** The newest page is kept. What was kept below it goes, for there may be a hole between. */
  keepNewest(conversation, rows) {
    return this.device.change(async (tables) => {
      const merged = [];
      for (const row of rows) {
        const older = await tables.find('messages', [conversation, row.cseq]);
        merged.push(older ? mergeRows(older, row) : row);
      }
      if (merged.length > 0) await tables.remove('messages', messagesBetween(conversation, 0, merged[0].cseq));
      for (const row of merged) await tables.put('messages', row);
      return merged;
    });
  }

  /** A person has seen everything up to `cseq`. */
  async read(outbox, conversation, cseq) {
    const line = await this.device.store.read((tables) => tables.find('lines', conversation));
    if (!line || line.readCseq >= cseq || line.former) return;
    await outbox.add({ to: conversation, act: { read: { cseq } } }, `read ${conversation} ${cseq}`);
  }

  /** The log cannot be continued: everything is loaded anew, and goes on from its head (rule R9). */
  async reset({ logEpoch, head }) {
    await this.timeline.work();
    await this.device.change(async (tables, account) => {
      Object.assign(account, { logEpoch, cursor: Number(head ?? 0), isListed: false });
      await tables.clear('messages');
      await tables.clear('lines');
      // What was answered would have come by the log, which now begins anew.
      const answered = (await tables.all('outbox')).filter(({ state }) => state === 'sent');
      for (const { sendNo } of answered) await tables.remove('outbox', sendNo);
    });
    this.tell('lines', []);
    await this.loadList();
    this.tell('stale', {});
  }

  async ask(op) {
    const way = this.way();
    if (!way) throw new Error('not connected');
    return way.request(op);
  }
}
