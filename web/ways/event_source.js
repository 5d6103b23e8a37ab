// Server-sent events: the browser itself comes back after a cut, and says which event it has had last.

import { Cut, LOST } from '../cut.js';
import { HttpWay } from './http.js';

export class EventSourceWay extends HttpWay {
  async read() {
    this.figures.request(0);
    this.source = new EventSource(`/v1/events?as=sse&after=${this.place()}`);
    this.source.onopen = () => this.sink.live(true);
    this.source.onmessage = ({ data }) => {
      this.figures.received(data.length);
      this.handleFrame(JSON.parse(data));
    };
    this.source.onerror = () => {
      if (this.source.readyState === EventSource.CLOSED) this.end(new Cut(LOST, 'the stream was refused'));
      else this.onBroken();
    };
  }

  /** The browser is about to open it again. */
  onBroken() {
    this.sink.live(false);
    this.figures.request(0);
  }

  /** The stream ends by itself when the server stops, and the browser comes back. */
  leaveSoon() {}

  close() {
    this.source?.close();
    super.close();
  }
}
