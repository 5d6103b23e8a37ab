// What all ways have in common: they carry the frames of the protocol in JSON, and they end once, with a reason.
//
// A way offers: open(), send(send) -> { ack } or { nack }, request(op), signal(signal), ack(useq), rewind(after), close().
// `sink` takes what it reads: entries(list), signal(signal), reset(reset), head(useq), live(isLive).

import { Cut } from '../cut.js';

export class Way {
  constructor({ api, device, figures, sink }) {
    Object.assign(this, { api, device, figures, sink });
    this.isOver = false;
    /** Settles with a Cut when the way is over. */
    this.ended = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  end(cut) {
    if (this.isOver) return;
    this.isOver = true;
    this.close();
    this.settle(cut);
  }

  /** One frame of those that mean the same on every way. */
  handleFrame(frame) {
    if (this.isOver) return;
    if (frame.push) this.sink.entries([frame.push]);
    else if (frame.signal) this.sink.signal(frame.signal);
    else if (frame.syncReset) this.sink.reset(frame.syncReset);
    else if (frame.goAway) this.leaveSoon(frame.goAway);
    else if (frame.close) this.end(new Cut(frame.close.code, frame.close.reason, frame.close.retryAfterMs));
  }

  leaveSoon({ spreadMs = 0 }) {
    setTimeout(() => this.end(new Cut(3000, 'the server is about to stop')), Math.random() * spreadMs);
  }

  /** Where this device is in its log, as the server writes places. */
  place() {
    const { logEpoch, cursor } = this.device.account;
    return `${logEpoch}-${cursor}`;
  }
}
