// This browser as one device of a user: its name, its credential and its numbers, durable. All tabs are one device.

import { Cut, STATE_LOST } from './cut.js';

export class Device {
  static async open(store) {
    const account = await store.read((tables) => tables.find('meta', 'account'));
    return new Device(store, account ?? null);
  }

  constructor(store, account) {
    this.store = store;
    /** As it was committed last; null: nobody has logged in here. To be changed by `change` alone. */
    this.account = account;
  }

  /** Runs `work(tables, account)` as one transaction; what it changes in `account` is kept with the rest. */
  async change(work) {
    const { account, result } = await this.store.write(async (tables) => {
      const account = await tables.find('meta', 'account');
      if (!account) throw new Cut(4006, 'nobody is logged in here');
      const result = await work(tables, account);
      await tables.put('meta', account, 'account');
      return { account, result };
    });
    this.account = account;
    return result;
  }

  /** Logs in with a uid and a password, or with a token. What another user has left in this browser goes. */
  async logIn(api, { uid, password, token }) {
    const credential = token ? { token } : { uid, password };
    const known = this.account ?? newcomer();
    let welcome;
    try {
      welcome = await api.post('/v1/login', helloOf(known, credential));
    } catch (problem) {
      if (problem.code !== STATE_LOST) throw problem;
      known.deviceEpoch = randomU32();
      welcome = await api.post('/v1/login', helloOf(known, credential));
    }
    const isAnother = this.account && this.account.uid !== welcome.uid;
    if (isAnother) {
      // The name of a device belongs to one user: the other one gets a device of their own.
      await this.forget();
      return this.logIn(api, { uid, password, token });
    }
    const account = {
      ...known,
      uid: welcome.uid,
      logEpoch: welcome.logEpoch,
      cursor: Number(welcome.cursor ?? 0),
      credential: { token: welcome.token },
      maxContent: welcome.limits?.maxContent ?? 0,
      isListed: known.isListed && !welcome.syncReset,
    };
    await this.store.write(async (tables) => {
      if (welcome.syncReset) await tables.clear('messages');
      await tables.put('meta', account, 'account');
    });
    this.account = account;
    return welcome;
  }

  /** Keeps a credential that the server has just given in exchange for the older one. */
  keepCredential(credential) {
    return this.change((_, account) => {
      account.credential = credential;
    });
  }

  async forget() {
    await this.store.write((tables) => tables.clearAll());
    this.account = null;
  }
}

function newcomer() {
  const name = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, '0'));
  return {
    device: `page-${name.join('')}`,
    deviceEpoch: randomU32(),
    logEpoch: '0',
    // Everything up to here has been applied.
    cursor: null,
    // The highest number given to a message, and up to which all have been answered for good.
    lastSendNo: 0,
    answeredSendNo: 0,
    // The newest keys of messages that tabs have handed in, so that none is taken twice.
    keys: [],
    // The conversation list has been loaded.
    isListed: false,
    way: 'websocket',
  };
}

function helloOf(account, credential) {
  const { device, deviceEpoch, lastSendNo, answeredSendNo } = account;
  const place = account.cursor === null ? { fromHead: true } : { cursor: account.cursor, logEpoch: account.logEpoch };
  return { ...credential, device, deviceEpoch, lastSendNo, answeredSendNo, ...place, agent: 'hongyan-page' };
}

function randomU32() {
  return crypto.getRandomValues(new Uint32Array(1))[0] || 1;
}
