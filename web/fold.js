// What an entry of the log does to the conversation list and to messages (docs/protocol.md, sections 16 to 21). Pure:
// rows go in, rows come out, and applying the same entry twice changes nothing.

/** Unread messages are counted up to here. */
const UNREAD_MOST = 1000;

/** A message as it is kept and shown. JSON has 64-bit numbers as strings, and leaves out what is 0. */
export function rowOf(message, conversation) {
  const extras = message.extras ?? {};
  return {
    conversation,
    cseq: Number(message.cseq),
    from: message.from,
    timeMs: Number(message.timeMs),
    text: message.text ?? null,
    isOpaque: message.content !== undefined,
    act: message.act ?? null,
    replyTo: Number(extras.replyTo ?? 0),
    forwardedFrom: extras.forwardedFrom ?? '',
    mentions: extras.mentions ?? [],
    mentionAll: extras.mentionAll ?? false,
    expiresMs: Number(extras.expiresMs ?? 0),
    gone: extras.gone ?? '',
    editedMs: Number(extras.editedMs ?? 0),
    editedCseq: Number(extras.editedCseq ?? 0),
    recalledCseq: Number(extras.recalledCseq ?? 0),
    reactions: { counts: {}, mine: '', asOf: 0 },
  };
}

/** The rows of a history page, with the reactions to them. */
export function rowsOfPage(page, conversation) {
  const rows = (page.entries ?? []).map((entry) => rowOf(entry.message, conversation));
  const byCseq = new Map(rows.map((row) => [row.cseq, row]));
  for (const { cseq, counts, mine, asOfCseq } of page.reactions ?? []) {
    const row = byCseq.get(Number(cseq));
    if (!row) continue;
    const pairs = (counts ?? []).map(({ reaction, count }) => [reaction, count]);
    row.reactions = { counts: Object.fromEntries(pairs), mine: mine ?? '', asOf: Number(asOfCseq ?? 0) };
  }
  return rows;
}

/** In whose conversation a message stands, as this user calls it. */
export function conversationOf(message, me) {
  return message.to.startsWith('#') || message.from === me ? message.to : message.from;
}

/** The message that an act is about; 0: none. */
export function targetOf(act) {
  const about = act.edit ?? act.recall ?? act.react;
  return about ? Number(about.cseq) : 0;
}

/** The row of a message after an act about it. */
export function applyAct(row, actRow, me) {
  const { edit, recall, react } = actRow.act;
  if (edit && actRow.cseq > row.editedCseq && !row.gone) {
    const { text = null, mentions = [], mentionAll = false } = edit;
    return { ...row, text, mentions, mentionAll, editedMs: actRow.timeMs, editedCseq: actRow.cseq };
  }
  if (recall && actRow.cseq > row.recalledCseq) {
    return { ...row, text: null, isOpaque: false, gone: 'GONE_RECALLED', recalledCseq: actRow.cseq };
  }
  if (react && actRow.cseq > row.reactions.asOf) {
    const counts = { ...row.reactions.counts };
    if (react.previous) counts[react.previous] = (counts[react.previous] ?? 1) - 1;
    if (react.reaction) counts[react.reaction] = (counts[react.reaction] ?? 0) + 1;
    if (!counts[react.previous]) delete counts[react.previous];
    const mine = actRow.from === me ? (react.reaction ?? '') : row.reactions.mine;
    return { ...row, reactions: { counts, mine, asOf: actRow.cseq } };
  }
  return row;
}

/** A line of the list as the server tells it; `older` is what was known of it here. */
export function lineOf(told, older) {
  const conversation = told.conversation;
  return {
    conversation,
    headCseq: Number(told.headCseq ?? 0),
    readCseq: Number(told.readCseq ?? 0),
    unread: told.unread ?? 0,
    pinned: told.pinned ?? false,
    archived: told.archived ?? false,
    mutedUntilMs: Number(told.mutedUntilMs ?? 0),
    peerDeliveredCseq: Number(told.peerDeliveredCseq ?? 0),
    peerReadCseq: Number(told.peerReadCseq ?? 0),
    firstCseq: Number(told.firstCseq ?? 0),
    former: told.former ?? false,
    group: told.group ?? (told.former ? (older?.group ?? null) : null),
    receipts: older?.receipts ?? {},
    last: told.last ? rowOf(told.last, conversation) : (older?.last ?? null),
  };
}

/** The line after a message or an act of its conversation. */
export function advanceLine(line, row, me) {
  if (row.cseq <= line.headCseq) return refreshLast(line, row, me);
  const next = { ...line, headCseq: row.cseq };
  if (!row.act) {
    if (row.from !== me) next.unread = Math.min(line.unread + 1, UNREAD_MOST);
    next.last = row;
    return next;
  }
  const { recall, groupUpdate } = row.act;
  const target = Number(recall?.cseq ?? 0);
  if (recall && recall.author !== me && target > line.readCseq && target >= line.firstCseq) {
    next.unread = Math.max(line.unread - 1, 0);
  }
  if (groupUpdate && line.group) {
    next.group = { ...line.group, settings: { ...line.group.settings, ...groupUpdate } };
  }
  return refreshLast(next, row, me);
}

/** What is shown of the newest message follows what is done to it. */
function refreshLast(line, row, me) {
  if (!row.act || !line.last || targetOf(row.act) !== line.last.cseq) return line;
  return { ...line, last: applyAct(line.last, row, me) };
}

/** Whether the line has to be asked for, because folding cannot tell (rule C5). */
export function isUncertain(line, row) {
  return Boolean(row.act?.recall && line.unread >= UNREAD_MOST) || Boolean(row.act && isAboutMembers(row.act));
}

function isAboutMembers(act) {
  return Object.keys(act).some((what) => what.startsWith('group') && what !== 'groupUpdate');
}

/** The line after a receipt: numbers only go up. */
export function applyReceipt(line, receipt) {
  const delivered = Math.max(Number(receipt.deliveredCseq ?? 0), Number(receipt.readCseq ?? 0));
  const read = Number(receipt.readCseq ?? 0);
  if (receipt.uid) {
    const [hadDelivered, hadRead] = line.receipts[receipt.uid] ?? [0, 0];
    const raised = [Math.max(hadDelivered, delivered), Math.max(hadRead, read)];
    return { ...line, receipts: { ...line.receipts, [receipt.uid]: raised } };
  }
  return {
    ...line,
    peerDeliveredCseq: Math.max(line.peerDeliveredCseq, delivered),
    peerReadCseq: Math.max(line.peerReadCseq, read),
  };
}

/** How far one's own message has come: 'sent', 'delivered' or 'read'; in groups by everybody. */
export function tickOf(row, line) {
  if (!line) return 'sent';
  const others = line.group ? Math.max((line.group.members ?? 1) - 1, 0) : 1;
  const reached = line.group
    ? Object.values(line.receipts)
    : [[line.peerDeliveredCseq, line.peerReadCseq]];
  const count = (which) => reached.filter((cseqs) => cseqs[which] >= row.cseq).length;
  if (others > 0 && count(1) >= others) return 'read';
  return others > 0 && count(0) >= others ? 'delivered' : 'sent';
}

/** The newer of each that is known twice of one message: a page may have crossed an act on its way. */
export function mergeRows(a, b) {
  const edited = a.editedCseq > b.editedCseq ? a : b;
  const recalled = a.recalledCseq > b.recalledCseq ? a : b;
  const gone = recalled.gone || a.gone || b.gone;
  return {
    ...edited,
    text: gone ? null : edited.text,
    isOpaque: gone ? false : edited.isOpaque,
    gone,
    recalledCseq: recalled.recalledCseq,
    reactions: a.reactions.asOf > b.reactions.asOf ? a.reactions : b.reactions,
  };
}
