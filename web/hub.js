// What all tabs of this browser share: one device, one connection, one outbox. It lives in a worker that they share or,
// where there is none, in one of them; the tabs ask it by commands, and it tells them what has changed.

import { Api } from './api.js';
import { Conversations } from './conversations.js';
import { Cut } from './cut.js';
import { Device } from './device.js';
import { Figures } from './figures.js';
import { Frames } from './frames.js';
import { Outbox } from './outbox.js';
import { Session } from './session.js';
import { openStore } from './store.js';
import { Timeline } from './timeline.js';
import { WAYS } from './ways/index.js';

/** How often figures are told. */
const FIGURES_MS = 1000;

export class Hub {
  static async open() {
    const hub = new Hub();
    await hub.assemble();
    return hub;
  }

  constructor() {
    this.tabs = new Map();
  }

  async assemble() {
    const tell = (name, value) => this.tell(name, value);
    const device = await Device.open(await openStore());
    const figures = new Figures();
    const api = new Api(figures);
    const timeline = new Timeline(device, figures, {
      tell,
      doubt: (conversation) => this.conversations.lookUp(conversation),
      stored: (cursor) => this.session.stored(cursor),
      hole: (cursor) => this.session.way?.rewind(cursor),
    });
    const outbox = new Outbox(device, timeline, figures, tell);
    const frames = new Frames(this.tabs);
    const conversations = new Conversations(device, timeline, () => this.session.way, tell);
    const sink = {
      entries: (entries) => timeline.add(entries).catch((error) => this.session.way?.end(Cut.of(error))),
      head: (head) => timeline.expect(head),
      reset: (reset) => conversations.reset(reset).catch((error) => this.session.way?.end(Cut.of(error))),
      signal: (signal) => signal.typing && this.tell('typing', { from: signal.from, group: signal.to ?? '' }),
      frame: (path, onEvent) => frames.open(path, onEvent),
      online: () => conversations.refresh(),
    };
    const session = new Session({ device, api, figures, outbox, sink, tell });
    Object.assign(this, { device, api, figures, outbox, frames, conversations, session });
    self.addEventListener('online', () => session.hurry());
    setInterval(() => this.tellFigures(), FIGURES_MS);
    if (device.account) session.start();
  }

  // ---------------------------------------------------------------- tabs

  /** What a tab says; `post` answers it. */
  async receive({ tab, id, name, value }, post) {
    if (name === 'join') {
      post({ id, result: await this.join(tab, post) });
      this.tabs.get(tab)?.begin();
      return;
    }
    const command = COMMANDS[name];
    if (!command) return;
    try {
      post({ id, result: await command(this, value ?? {}, tab) });
    } catch (error) {
      post({ id, error: Cut.of(error).message, problem: error.problem ?? '' });
    }
  }

  /** What is told while everything is gathered for a tab waits, for it is the newer. */
  join(tab, post) {
    if (!this.tabs.has(tab)) {
      // A tab holds this lock for as long as it lives.
      navigator.locks?.request(`hongyan tab ${tab}`, () => this.leave(tab));
    }
    this.tabs.set(tab, new Listener(post));
    return this.everything();
  }

  leave(tab) {
    this.tabs.delete(tab);
    this.frames.lost(tab);
  }

  tell(name, value) {
    for (const listener of this.tabs.values()) listener.tell({ event: name, value });
  }

  tellFigures() {
    const summary = this.figures.summary();
    const text = JSON.stringify(summary);
    if (text === this.toldFigures) return;
    this.toldFigures = text;
    this.tell('figures', summary);
  }

  /** All that a tab shows at first. */
  async everything() {
    const { account } = this.device;
    const [lines, outbox] = account ? await Promise.all([this.conversations.lines(), this.outbox.rows()]) : [[], []];
    return {
      account: account && { uid: account.uid, device: account.device },
      connection: this.session.state,
      ways: Object.entries(WAYS).map(([name, { title }]) => ({ name, title })),
      lines,
      outbox,
      figures: this.figures.summary(),
    };
  }

  async restart() {
    this.tell('everything', await this.everything());
    this.session.start();
  }
}

/** A tab that listens. What it is told before `begin` waits. */
class Listener {
  constructor(post) {
    this.post = post;
    this.held = [];
  }

  tell(message) {
    if (this.held) this.held.push(message);
    else this.post(message);
  }

  begin() {
    const held = this.held ?? [];
    this.held = null;
    held.forEach((message) => this.post(message));
  }
}

/** What tabs may ask for: each gets the hub, what the tab says, and which tab it is. */
const COMMANDS = {
  leave: (hub, _, tab) => hub.leave(tab),

  async logIn(hub, { uid, password, token, isNew }) {
    hub.api.token = null;
    if (isNew) await hub.api.post('/v1/register', { uid, password });
    await hub.device.logIn(hub.api, { uid, password, token });
    await hub.restart();
  },

  async logOut(hub) {
    hub.session.leave();
    // Without a connection the token dies by itself later.
    await hub.api.post('/v1/logout').catch(() => {});
    await hub.device.forget();
    hub.tell('everything', await hub.everything());
  },

  hurry(hub) {
    hub.session.hurry();
  },

  choose: (hub, { way }) => hub.session.choose(way),

  say: (hub, { send, key }) => hub.outbox.add(send, key),

  discard: (hub, { sendNo }) => hub.outbox.discard(sendNo),

  kept: (hub, { conversation, before }) => hub.conversations.kept(conversation, before),

  page: (hub, { conversation, before }) => hub.conversations.page(conversation, before),

  messages: (hub, { conversation, cseqs }) => hub.conversations.messages(conversation, cseqs),

  read: (hub, { conversation, cseq }) => hub.conversations.read(hub.outbox, conversation, cseq),

  typing(hub, { to }) {
    if (hub.session.state.name === 'online') hub.session.way?.signal({ to, typing: true });
  },

  framed: (hub, { frame, event }) => hub.frames.framed(frame, event),

  frameEnded: (hub, { frame }) => hub.frames.ended(frame),
};

