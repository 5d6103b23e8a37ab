// Why a connection ended, and what its close code says to do about it (docs/protocol.md, section 11).

export class Cut extends Error {
  constructor(code, reason, retryAfterMs = 0) {
    super(reason);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whatever went wrong, as a cut: what is none of ours counts as the network's fault. */
  static of(error) {
    return error instanceof Cut ? error : new Cut(LOST, String(error?.message ?? error));
  }

  /** 'again', 'later', 'stop' or 'login'. */
  get advice() {
    switch (Math.floor(this.code / 1000)) {
      case 1:
        return 'again';
      case 4:
        return 'stop';
      case 5:
        return 'login';
      default:
        return 'later';
    }
  }
}

/** The transport ended without a word. */
export const LOST = 2999;
/** Another connection of this device took over. */
export const REPLACED = 4010;
/** The server and this browser remember different numbers: the device begins anew. */
export const STATE_LOST = 4012;

/** Waits for a random time up to a bound that doubles with each failure from 1 s to 30 s, or until `wake` is called. */
export class Pause {
  constructor() {
    this.failures = 0;
    this.wake = () => {};
  }

  reset() {
    this.failures = 0;
  }

  /** How long the next wait is, in milliseconds. */
  next(atLeastMs) {
    const bound = Math.min(1000 * 2 ** this.failures, 30_000);
    this.failures += 1;
    return Math.max(Math.random() * bound, atLeastMs);
  }

  wait(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
