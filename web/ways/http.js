// The half that all one-way schemes share: whoever can only listen says what they have to say by a POST each.

import { Cut } from '../cut.js';
import { Way } from './way.js';

const BAD_ACK = 4008;
/** No repetition makes such a message good: the status, and the code that refuses it. */
const UNREADABLE = [400, 413, 422];
const INVALID = 18;
/** Before an ack that did not get through is repeated. */
const RETRY_MS = 3000;

export class HttpWay extends Way {
  async open() {
    this.aborter = new AbortController();
    await this.proveCredential();
    if (this.isOver) return;
    this.sink.live(true);
    this.read().catch((error) => this.end(Cut.of(error)));
  }

  /** A stream that is refused cannot say why; an ack can. */
  async proveCredential() {
    try {
      await this.api.post('/v1/ack', { useq: this.device.account.cursor });
    } catch (cut) {
      // In another log than it was the number means nothing; the reading will tell.
      if (cut.code !== BAD_ACK) throw cut;
    }
  }

  async send(send) {
    try {
      return { ack: await this.api.post('/v1/messages', send) };
    } catch (cut) {
      if (cut.code < 1000) return { nack: cut };
      if (UNREADABLE.includes(cut.status)) return { nack: new Cut(INVALID, cut.message) };
      throw this.failed(cut);
    }
  }

  request(op) {
    return this.api.post('/v1/request', op).catch((cut) => {
      throw this.failed(cut);
    });
  }

  signal(signal) {
    this.api.post('/v1/signal', signal).catch((cut) => this.failed(cut));
  }

  ack(useq) {
    this.api.post('/v1/ack', { useq }).catch((cut) => {
      this.failed(cut);
      if (!this.isOver) setTimeout(() => !this.isOver && this.ack(useq), RETRY_MS);
    });
  }

  /** Begins the reading anew, behind what has been applied. */
  rewind() {
    this.end(new Cut(1000, 'something was missing'));
  }

  /** What no repetition helps against ends the way. */
  failed(cut) {
    if (cut.code >= 4000) this.end(cut);
    return cut;
  }

  close() {
    this.aborter?.abort();
  }
}
