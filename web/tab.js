// This tab's line to the hub: questions that are answered, and what the hub tells by itself. Where browsers have no
// shared workers, one tab is elected to hold the hub; when it closes, another one takes over and questions are repeated.

const CHANNEL = 'hongyan';

export class Tab {
  /** `on[name](value)` is called with what the hub tells; `on.joined(everything)` whenever there is a hub, or a new one. */
  constructor(on) {
    this.on = on;
    this.id = Array.from(crypto.getRandomValues(new Uint32Array(2)), (word) => word.toString(36)).join('');
    this.asked = new Map();
    this.next = 1;
  }

  /** Returns when this tab's lock is held, by which the hub sees that it lives. */
  async open() {
    await this.hold();
    if ('SharedWorker' in self) this.openWorker();
    else this.openChannel();
    addEventListener('pagehide', () => this.post({ name: 'leave' }));
    await this.join();
  }

  hold() {
    return new Promise((resolve) => {
      if (!navigator.locks) return resolve();
      navigator.locks.request(`hongyan tab ${this.id}`, () => {
        resolve();
        return new Promise(() => {});
      });
    });
  }

  openWorker() {
    const worker = new SharedWorker(trusted('/page/worker.js'), { type: 'module', name: 'hongyan' });
    worker.port.onmessage = ({ data }) => this.receive(data);
    this.send = (message) => worker.port.postMessage(message);
  }

  openChannel() {
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = ({ data }) => {
      if (data.from === 'hub' && (data.to === null || data.to === this.id)) this.receive(data.message);
    };
    this.send = (message) => channel.postMessage({ from: this.id, message });
    elect(() => holdHub());
  }

  async join() {
    this.on.joined(await this.ask('join'));
  }

  /** Asks the hub for something; throws what it could not do, with the problem's name. */
  ask(name, value) {
    return new Promise((resolve, reject) => {
      const question = { id: this.next++, name, value };
      this.asked.set(question.id, { question, resolve, reject });
      this.post(question);
    });
  }

  post(question) {
    this.send({ tab: this.id, ...question });
  }

  receive({ id, result, error, problem, event, value }) {
    if (event === 'hub') this.rejoin();
    else if (event) this.on[event]?.(value);
    const asked = this.asked.get(id);
    this.asked.delete(id);
    if (!asked) return;
    if (error === undefined) asked.resolve(result);
    else asked.reject(Object.assign(new Error(error), { problem }));
  }

  /** A new hub knows nobody, and nothing of what the one before was asked. */
  rejoin() {
    const open = [...this.asked.values()].map(({ question }) => question);
    if (!open.some(({ name }) => name === 'join')) this.join();
    for (const question of open) this.post(question);
  }
}

/** Calls `lead` in one tab at a time. */
function elect(lead) {
  if (navigator.locks) navigator.locks.request('hongyan hub', lead);
  else lead();
}

/** Holds the hub in this tab until the tab closes. */
async function holdHub() {
  const { Hub } = await import('./hub.js');
  const channel = new BroadcastChannel(CHANNEL);
  const post = (to) => (message) => channel.postMessage({ from: 'hub', to, message });
  const hub = await Hub.open();
  channel.onmessage = ({ data }) => data.from !== 'hub' && hub.receive(data.message, post(data.from));
  post(null)({ event: 'hub' });
  await new Promise(() => {});
}

/** The one place that names code to run: browsers that check it let no other through. */
function trusted(url) {
  if (!self.trustedTypes) return url;
  return self.trustedTypes.createPolicy('hongyan-worker', { createScriptURL: (url) => url }).createScriptURL(url);
}
