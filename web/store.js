// The browser's durable store. What is in it survives a reload, a crash of the browser and a power cut.

const NAME = 'hongyan';

/** Its tables, each with what a row is found by. */
const TABLES = {
  // 'account': who is logged in here, and the numbers of this device.
  meta: undefined,
  // One conversation of the list.
  lines: 'conversation',
  messages: ['conversation', 'cseq'],
  // What waits to be sent, by the number it is sent under.
  outbox: 'sendNo',
};

export async function openStore() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    for (const [table, keyPath] of Object.entries(TABLES)) request.result.createObjectStore(table, { keyPath });
  };
  return new Store(await answerOf(request));
}

class Store {
  constructor(database) {
    this.database = database;
  }

  /** Runs `work` as one transaction: all that it changes is on disk when this returns, or nothing is. */
  write(work) {
    return this.transaction('readwrite', work);
  }

  read(work) {
    return this.transaction('readonly', work);
  }

  async transaction(mode, work) {
    const transaction = this.database.transaction(Object.keys(TABLES), mode, { durability: 'strict' });
    const over = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new Error('the browser could not store this'));
    });
    try {
      const result = await work(new Tables(transaction));
      await over;
      return result;
    } catch (error) {
      over.catch(() => {});
      if (!transaction.error) abort(transaction);
      throw error;
    }
  }
}

/** The tables within a transaction. Nothing else may be waited for there: the browser would end it. */
class Tables {
  constructor(transaction) {
    this.transaction = transaction;
  }

  find(table, key) {
    return answerOf(this.transaction.objectStore(table).get(key));
  }

  all(table, range) {
    return answerOf(this.transaction.objectStore(table).getAll(range));
  }

  put(table, row, key) {
    return answerOf(this.transaction.objectStore(table).put(row, key));
  }

  remove(table, key) {
    return answerOf(this.transaction.objectStore(table).delete(key));
  }

  clear(table) {
    return answerOf(this.transaction.objectStore(table).clear());
  }

  clearAll() {
    return Promise.all(Object.keys(TABLES).map((table) => this.clear(table)));
  }
}

/** The messages of a conversation from `first` up to the one before `end`. */
export function messagesBetween(conversation, first, end) {
  return IDBKeyRange.bound([conversation, first], [conversation, end], false, true);
}

function answerOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function abort(transaction) {
  try {
    transaction.abort();
  } catch {
    // It is over already.
  }
}
