// What each way costs and how quick it is, as far as a page can see: bodies and frames, not what HTTP puts around them.

/** So many of the newest times are kept. */
const KEPT = 200;

export class Figures {
  constructor() {
    this.byWay = {};
    /** The server's clock minus ours, and how far wrong that can be, in milliseconds. */
    this.clock = { offset: 0, doubt: Infinity };
    this.begin('websocket');
  }

  /** From now on it is this way that is counted. */
  begin(way) {
    this.way = way;
    this.byWay[way] ??= { requests: 0, sent: 0, received: 0, deliveries: [], answers: [] };
  }

  get current() {
    return this.byWay[this.way];
  }

  request(bytes) {
    this.current.requests += 1;
    this.current.sent += bytes;
  }

  sent(bytes) {
    this.current.sent += bytes;
  }

  received(bytes) {
    this.current.received += bytes;
  }

  /** A question that left at `askedAt` was answered just now, by a server whose clock said `serverMs` meanwhile. */
  compareClocks(askedAt, serverMs) {
    const now = Date.now();
    const doubt = (now - askedAt) / 2;
    if (doubt <= this.clock.doubt) this.clock = { offset: serverMs - (now + askedAt) / 2, doubt };
  }

  /** A message of ours was answered. */
  answered(sentAt) {
    keep(this.current.answers, Date.now() - sentAt);
  }

  /** A message of somebody else has come, which the server took at `timeMs`. */
  delivered(timeMs) {
    const tookMs = Date.now() + this.clock.offset - timeMs;
    // What was missed for longer was not under way, it waited for us.
    if (tookMs < 15_000) keep(this.current.deliveries, Math.max(tookMs, 0));
  }

  /** For people. */
  summary() {
    return Object.entries(this.byWay).map(([way, { requests, sent, received, deliveries, answers }]) => {
      return { way, requests, sent, received, delivery: median(deliveries), answer: median(answers) };
    });
  }
}

function keep(times, ms) {
  times.push(ms);
  if (times.length > KEPT) times.shift();
}

function median(times) {
  if (times.length === 0) return null;
  return [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)];
}
