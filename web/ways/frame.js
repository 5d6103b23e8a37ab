// The oldest way of all: a hidden frame with a page that never ends, in which each event is a script. A worker has no
// frames; a tab holds it for all.

import { Cut, LOST } from '../cut.js';
import { HttpWay } from './http.js';

/** Nobody tells that a frame has broken off: it has to be silent for so much longer than it said. */
const GRACE_MS = 2000;
/** Every event stays in the frame's page; after so many it is loaded anew. */
const MOST_EVENTS = 500;

export class FrameWay extends HttpWay {
  async read() {
    const { promise, close } = this.sink.frame(`/v1/events?as=iframe&after=${this.place()}`, (event) => this.onEvent(event));
    this.closeFrame = close;
    this.events = 0;
    this.figures.request(0);
    await promise;
    this.end(new Cut(LOST, 'the frame has ended'));
  }

  onEvent(event) {
    this.figures.received(JSON.stringify(event).length);
    if (event.ping) this.watch(event.ping.nextMs);
    else this.handleFrame(event);
    this.events += 1;
    if (this.events >= MOST_EVENTS) this.end(new Cut(1000, 'the frame has become large'));
  }

  watch(nextMs) {
    clearTimeout(this.watchdog);
    if (this.isOver) return;
    this.watchdog = setTimeout(() => this.end(new Cut(1001, 'the frame has fallen silent')), 1.5 * nextMs + GRACE_MS);
  }

  close() {
    clearTimeout(this.watchdog);
    this.closeFrame?.();
    super.close();
  }
}
