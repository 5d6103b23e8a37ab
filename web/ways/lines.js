// An answer that never ends, with a line of JSON for each event.

import { Cut, LOST } from '../cut.js';
import { HttpWay } from './http.js';

/** Silence for longer than this is no silence: the server writes empty lines. */
const SILENCE_MS = 120_000;

export class LinesWay extends HttpWay {
  async read() {
    const path = `/v1/events?as=ndjson&after=${this.place()}`;
    const response = await this.api.fetch(path, { signal: this.aborter.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    while (!this.isOver) {
      this.watch();
      const { value, done } = await reader.read();
      if (done) break;
      this.figures.received(value.length);
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      for (const line of lines) if (line) this.handleFrame(JSON.parse(line));
    }
    this.end(new Cut(LOST, 'the stream has ended'));
  }

  watch() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.end(new Cut(1001, 'the server has fallen silent')), SILENCE_MS);
  }

  close() {
    clearTimeout(this.watchdog);
    super.close();
  }
}
