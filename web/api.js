// Calls of the server's HTTP operations, counted.

import { Cut, LOST, REPLACED } from './cut.js';

/** How long an answer may take that nothing has to be waited for. */
const PATIENCE_MS = 30_000;

export class Api {
  constructor(figures) {
    this.figures = figures;
    /** What proves who asks; without a token the browser's cookie does. */
    this.token = null;
  }

  get(path) {
    return this.call('GET', path);
  }

  post(path, body) {
    return this.call('POST', path, body);
  }

  async call(method, path, body) {
    const response = await this.fetch(path, { method, body, signal: AbortSignal.timeout(PATIENCE_MS) });
    return this.answerOf(response);
  }

  /** The answer as it comes; throws a Cut if there is none, or if it is a problem. */
  async fetch(path, { method = 'GET', body, headers = {}, signal } = {}) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    if (text !== undefined) headers['content-type'] = 'application/json';
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    this.figures.request(path.length + (text?.length ?? 0));
    let response;
    try {
      response = await fetch(path, { method, body: text, headers, signal, cache: 'no-store' });
    } catch (error) {
      throw new Cut(LOST, `the server cannot be reached (${error.message})`);
    }
    if (response.ok || response.status === 304) return response;
    throw await problemOf(response);
  }

  async answerOf(response) {
    let text;
    try {
      text = await response.text();
    } catch (error) {
      throw new Cut(LOST, `the answer broke off (${error.message})`);
    }
    this.figures.received(text.length);
    return text ? JSON.parse(text) : null;
  }
}

/** A problem document as a Cut. Codes below 1000 refuse one operation and end nothing. */
async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const reason = problem.detail ?? `the server answered ${response.status}`;
  const cut = new Cut(problem.code ?? codeOf(response.status), reason, problem.retryAfterMs);
  cut.status = response.status;
  cut.problem = (problem.type ?? '').split(':').at(-1);
  return cut;
}

/** The close code that fits a status without one. */
function codeOf(status) {
  if (status === 401) return 5003;
  if (status === 409) return REPLACED;
  return status === 408 || status === 429 || status >= 500 ? LOST : 4009;
}
