// The one connection of this browser: opens the chosen way, comes back after every cut with a pause that has jitter, and
// stops where the close code says that the same again would end the same way.

import { Cut, Pause } from './cut.js';
import { WAYS } from './ways/index.js';

/** Acks leave so long after the first entry they are for, or when so many wait. */
const ACK_MS = 200;
const ACK_ENTRIES = 16;
/** A connection that held for less does not count as one that held. */
const HELD_MS = 1000;

export class Session {
  /** `sink`: what a way reads goes there; `tell(name, value)` goes to the tabs. */
  constructor({ device, api, figures, outbox, sink, tell }) {
    Object.assign(this, { device, api, figures, outbox, tell });
    this.sink = { ...sink, live: (isLive) => this.onLive(isLive) };
    this.way = null;
    this.pause = new Pause();
    this.run = 0;
    this.running = Promise.resolve();
    this.acked = 0;
    /** What the tabs show: 'out' (nobody is logged in), 'connecting', 'online', 'waiting', 'stopped' or 'login'. */
    this.state = { name: 'out' };
  }

  /** Connects, and stays connected. What was begun before ends first. */
  start() {
    const run = ++this.run;
    this.way?.end(new Cut(1000, 'begun anew'));
    this.pause.wake();
    this.running = this.running.then(() => this.stay(run));
  }

  async stay(run) {
    while (run === this.run && this.device.account) {
      const cut = await this.connect(run);
      if (run !== this.run) return;
      if (cut.advice === 'stop' || cut.advice === 'login') {
        this.show({ name: cut.advice === 'stop' ? 'stopped' : 'login', code: cut.code, reason: cut.message });
        return;
      }
      await this.rest(cut);
    }
  }

  /** One connection, from its beginning to its end. */
  async connect(run) {
    const begunAt = Date.now();
    const name = this.device.account.way;
    let cut;
    this.show({ name: 'connecting' });
    this.figures.begin(name);
    try {
      await this.bringCredential(WAYS[name].credential);
      if (run !== this.run) return new Cut(1000, 'begun anew');
      const { device, api, figures, sink } = this;
      this.way = WAYS[name].make({ device, api, figures, sink });
      await this.way.open();
      cut = await this.way.ended;
    } catch (error) {
      cut = Cut.of(error);
      this.way?.end(cut);
    }
    this.onLive(false);
    this.way = null;
    if (Date.now() - begunAt > HELD_MS) this.pause.reset();
    return cut;
  }

  /** Exchanges a token for a cookie, or the reverse, where the way needs the other. */
  async bringCredential(needed) {
    const { credential } = this.device.account;
    const has = credential.token ? 'token' : 'cookie';
    this.api.token = credential.token ?? null;
    if (!needed || needed === has) return;
    const askedAt = Date.now();
    const welcome = await this.api.post('/v1/resume', {
      cursor: this.device.account.cursor,
      ...(needed === 'cookie' ? { cookie: true } : {}),
    });
    this.figures.compareClocks(askedAt, Number(welcome.timeMs));
    await this.device.keepCredential(needed === 'cookie' ? { isCookie: true } : { token: welcome.token });
    this.api.token = welcome.token ?? null;
  }

  async rest(cut) {
    const ms = cut.advice === 'again' && this.pause.failures === 0 ? 0 : this.pause.next(cut.retryAfterMs);
    if (ms === 0) {
      this.pause.next(0);
      return;
    }
    this.show({ name: 'waiting', until: Date.now() + ms, reason: cut.message });
    await this.pause.wait(ms);
  }

  /** Somebody does not want to wait, or the network is back. */
  hurry() {
    if (this.state.name === 'stopped') this.start();
    else this.pause.wake();
  }

  /** Ends the connection and stays away. */
  leave() {
    this.run += 1;
    this.way?.end(new Cut(1000, 'left'));
    this.pause.wake();
    this.show({ name: 'out' });
  }

  async choose(name) {
    if (!WAYS[name]) return;
    await this.device.change((_, account) => {
      account.way = name;
    });
    this.pause.reset();
    this.start();
  }

  onLive(isLive) {
    if (isLive === (this.state.name === 'online')) return;
    if (isLive) {
      this.acked = this.device.account.cursor;
      this.outbox.use(this.way);
      this.show({ name: 'online' });
      this.sink.online();
    } else {
      this.outbox.use(null);
      if (!this.way?.isOver && this.way) this.show({ name: 'connecting' });
    }
  }

  show(state) {
    this.state = { ...state, way: this.device.account?.way };
    this.tell('connection', this.state);
  }

  /** Everything up to `cursor` is on disk: the server is told, a little later and once for many. */
  stored(cursor) {
    if (this.state.name !== 'online' || cursor <= this.acked) return;
    if (cursor - this.acked >= ACK_ENTRIES) this.ack();
    else this.ackTimer ??= setTimeout(() => this.ack(), ACK_MS);
  }

  ack() {
    clearTimeout(this.ackTimer);
    this.ackTimer = undefined;
    const cursor = this.device.account?.cursor;
    if (this.state.name !== 'online' || !this.way || cursor <= this.acked) return;
    this.acked = cursor;
    this.way.ack(cursor);
  }
}
