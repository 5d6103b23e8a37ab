// One WebSocket with a frame of JSON in each message: the whole protocol in both directions.

import { Cut, LOST, STATE_LOST } from '../cut.js';
import { Way } from './way.js';

/** How long a login, an answer or a sign of life may take. */
const PATIENCE_MS = 15_000;

export class WebSocketWay extends Way {
  open() {
    const url = new URL('/v1/ws', location.href);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    this.sends = new Map();
    this.requests = new Map();
    this.nextRequest = 1;
    this.isLive = false;
    this.figures.request(0);
    this.socket = new WebSocket(url, 'hongyan.v1.json');
    this.socket.onopen = () => this.resume();
    this.socket.onmessage = ({ data }) => this.handleText(data);
    this.socket.onclose = () => this.end(new Cut(LOST, 'the connection was lost'));
    const opened = new Promise((resolve, reject) => {
      this.opened = resolve;
      this.ended.then(reject);
    });
    this.watch('the login was not answered');
    return opened;
  }

  resume() {
    const { credential, cursor } = this.device.account;
    this.write({ resume: { resumeToken: credential.token, cursor } });
  }

  handleText(text) {
    this.figures.received(text.length);
    clearTimeout(this.watchdog);
    const frame = JSON.parse(text);
    if (frame.resumed) this.onResumed(frame.resumed);
    else if (frame.reject) this.end(new Cut(frame.reject.code, frame.reject.reason, frame.reject.retryAfterMs));
    else if (frame.sendAck) this.settleSend(frame.sendAck.sendNo, { ack: frame.sendAck });
    else if (frame.sendNack) this.onNack(frame.sendNack);
    else if (frame.response) this.onResponse(frame.response);
    else if (frame.ping) this.write({ pong: {} });
    else if (frame.pong) this.sink.head(Number(frame.pong.head ?? 0));
    else this.handleFrame(frame);
  }

  async onResumed({ resumeToken, lastSendNo = 0, limits }) {
    if (Number(lastSendNo) > this.device.account.lastSendNo) {
      this.end(new Cut(STATE_LOST, 'this browser has lost what it knew'));
      return;
    }
    try {
      // In the form that HTTP takes too. It has to be kept before anything else leaves.
      const token = resumeToken.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
      await this.device.keepCredential({ token });
    } catch (error) {
      this.end(Cut.of(error));
      return;
    }
    if (this.isOver) return;
    this.isLive = true;
    this.heartbeat = setInterval(() => this.ping(), limits?.heartbeatMs ?? 60_000);
    this.sink.live(true);
    this.opened();
  }

  ping() {
    this.write({ ping: { ack: this.device.account.cursor } });
    this.watch('the server has fallen silent');
  }

  /** Any frame that comes ends the wait. */
  watch(reason) {
    clearTimeout(this.watchdog);
    if (!this.isOver) this.watchdog = setTimeout(() => this.end(new Cut(1001, reason)), PATIENCE_MS);
  }

  // ---------------------------------------------------------------- sending and asking

  send(send) {
    const answer = this.awaited(this.sends, send.sendNo);
    this.write({ send });
    this.watch('a message was not answered');
    return answer;
  }

  /** What is settled by the answer, or by the end of the connection, whichever comes first. */
  awaited(asked, key) {
    if (this.isOver) return Promise.reject(new Cut(LOST, 'the connection was lost'));
    return new Promise((resolve, reject) => asked.set(key, { resolve, reject }));
  }

  settleSend(sendNo, answer) {
    this.sends.get(Number(sendNo))?.resolve(answer);
    this.sends.delete(Number(sendNo));
  }

  onNack({ sendNo, code, reason, retryAfterMs, expected }) {
    if (code === 'NACK_GAP' && Number(expected) > this.device.account.lastSendNo + 1) {
      this.end(new Cut(STATE_LOST, 'this browser has lost what it knew'));
      return;
    }
    const nack = new Cut(NACKS[code] ?? 18, reason || 'the server refused it', retryAfterMs);
    this.settleSend(sendNo, { nack });
  }

  request(op) {
    const id = this.nextRequest++;
    const answer = this.awaited(this.requests, String(id));
    this.write({ request: { id, ...op } });
    this.watch('a question was not answered');
    return answer;
  }

  onResponse({ id, failure, ...result }) {
    const asked = this.requests.get(id);
    this.requests.delete(id);
    if (failure) asked?.reject(new Cut(FAILURES[failure.code] ?? 18, failure.reason));
    else asked?.resolve(result);
  }

  signal(signal) {
    this.write({ signal });
  }

  ack(useq) {
    this.write({ ack: { useq } });
  }

  rewind(after) {
    this.write({ syncReq: { after } });
  }

  write(frame) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const text = JSON.stringify(frame);
    this.figures.sent(text.length);
    this.socket.send(text);
  }

  close() {
    clearInterval(this.heartbeat);
    clearTimeout(this.watchdog);
    this.socket.onclose = null;
    this.socket.close();
    const lost = new Cut(LOST, 'the connection was lost');
    for (const { reject } of [...this.sends.values(), ...this.requests.values()]) reject(lost);
  }
}

const NACKS = {
  NACK_GAP: 1,
  NACK_RATE_LIMITED: 2,
  NACK_UNAVAILABLE: 3,
  NACK_NOT_FOUND: 16,
  NACK_TOO_LARGE: 17,
  NACK_INVALID: 18,
  NACK_FORBIDDEN: 19,
  NACK_ANSWER_EXPIRED: 20,
  NACK_TOO_LATE: 21,
  NACK_FULL: 22,
};

const FAILURES = { FAILURE_UNAVAILABLE: 1, FAILURE_NOT_FOUND: 16, FAILURE_FORBIDDEN: 19, FAILURE_UNKNOWN: 21 };
