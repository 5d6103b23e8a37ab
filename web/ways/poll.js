// Polling: a question after the other. A long one waits at the server for something to happen; a short one does not, and
// the pause between two is the client's.

import { HttpWay } from './http.js';

export class PollWay extends HttpWay {
  /** `waitS`: how long the server may wait; `pauseMs`: how long we do before the next. */
  constructor(shared, { waitS, pauseMs }) {
    super(shared);
    Object.assign(this, { waitS, pauseMs });
  }

  async read() {
    while (!this.isOver) {
      const answer = await this.poll();
      if (this.isOver) return;
      const hadSomething = answer && (await this.handleAnswer(answer));
      // What has come may not be all.
      if (!hadSomething && this.pauseMs > 0) await this.rest();
    }
  }

  async poll() {
    const path = `/v1/events?as=poll&wait=${this.waitS}&after=${this.after()}`;
    const headers = this.etag ? { 'if-none-match': this.etag } : {};
    const response = await this.api.fetch(path, { headers, signal: this.aborter.signal });
    this.etag = response.headers.get('etag');
    const answer = response.status === 304 ? null : await this.api.answerOf(response);
    this.next = answer?.next ?? this.next;
    return answer;
  }

  /** Where to go on: with what shows that the last answer has come, if that is where it ended. */
  after() {
    const place = this.place();
    return this.next?.startsWith(`${place}-`) ? this.next : place;
  }

  /** Whether there was anything in it. */
  async handleAnswer({ entries = [], passed = [], signal, syncReset }) {
    // The next question names what was applied, so that it has to wait for it.
    if (entries.length + passed.length > 0) await this.sink.entries([...entries, ...passed]);
    if (signal) this.sink.signal(signal);
    if (syncReset) await this.sink.reset(syncReset);
    return entries.length + passed.length > 0 || Boolean(signal ?? syncReset);
  }

  rest() {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.pauseMs);
      this.aborter.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
