// Whether there is a connection, by which way, and what that costs.

import { $, make } from './dom.js';
import { sizeOf, spanOf } from './words.js';

/** A cut that is mended sooner is not worth a word. */
const PATIENCE_MS = 1000;

const STATES = { out: 'Logged out', connecting: 'Connecting', online: 'Online', waiting: 'Offline', stopped: 'Stopped', login: 'Logged out' };

export class Connection {
  /** `hurry()`: somebody does not want to wait; `choose(way)`: by this way from now on. */
  constructor({ hurry, choose }) {
    $('hurry').addEventListener('click', hurry);
    $('way').addEventListener('change', ({ target }) => choose(target.value));
    this.titles = new Map();
  }

  fill(ways) {
    this.titles = new Map(ways.map(({ name, title }) => [name, title]));
    $('way').replaceChildren(...ways.map(({ name, title }) => make('option', { value: name }, title)));
  }

  show(state) {
    this.state = state;
    const isOnline = state.name === 'online';
    $('dot').classList.toggle('online', isOnline);
    $('way').value = state.way ?? 'websocket';
    $('way-now').textContent = `${STATES[state.name]} · ${this.titles.get(state.way) ?? ''}`;
    clearTimeout(this.timer);
    clearInterval(this.ticking);
    if (isOnline || state.name === 'out' || state.name === 'login') $('offline').hidden = true;
    else if (state.name === 'stopped') this.showBanner();
    else this.timer = setTimeout(() => this.showBanner(), $('offline').hidden ? PATIENCE_MS : 0);
  }

  showBanner() {
    const say = () => {
      $('offline-text').textContent = this.bannerText();
    };
    say();
    $('offline').hidden = false;
    $('hurry').textContent = this.state.name === 'stopped' ? 'Use it here' : 'Try now';
    clearInterval(this.ticking);
    if (this.state.name === 'waiting') this.ticking = setInterval(say, 1000);
  }

  bannerText() {
    const { name, reason, until } = this.state;
    if (name === 'stopped') return `Not connected: ${reason}.`;
    const seconds = Math.max(Math.ceil(((until ?? 0) - Date.now()) / 1000), 0);
    const when = name === 'waiting' && seconds > 0 ? `trying again in ${seconds} s` : 'trying to connect';
    return `Offline, ${when}. What you write is kept and sent later.`;
  }

  figures(summary) {
    const rows = summary.map((way) => {
      const cells = [spanOf(way.delivery), spanOf(way.answer), sizeOf(way.received + way.sent), String(way.requests)];
      const isNow = way.way === this.state?.way;
      if (isNow) $('way-brief').textContent = `${spanOf(way.delivery ?? way.answer)} · ${sizeOf(way.received + way.sent)}`;
      return make(
        'tr',
        { class: isNow ? 'now' : '' },
        make('th', { scope: 'row' }, this.titles.get(way.way) ?? way.way),
        ...cells.map((cell) => make('td', {}, cell)),
      );
    });
    $('figures').replaceChildren(...rows);
  }
}
