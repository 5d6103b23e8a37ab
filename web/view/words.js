// What messages and acts say in words.

/** A conversation's name for people. */
export function nameOf(line, me) {
  if (line.group?.settings?.title) return line.group.settings.title;
  return line.conversation === me ? 'Saved messages' : line.conversation;
}

/** A message in one line. */
export function briefly(row, me) {
  if (row.act) return describe(row, me) ?? '';
  if (row.gone) return goneText(row);
  return row.text ?? 'A message that this page cannot show';
}

export function goneText(row) {
  return row.gone === 'GONE_EXPIRED' ? 'This message has disappeared' : 'This message was taken back';
}

/** What an act says in the conversation; null: nothing, it only changes a message. */
export function describe(row, me) {
  const { from, act } = row;
  const who = from === me ? 'You' : from;
  const whom = (uid) => (uid === me ? 'you' : uid);
  if (act.groupCreate) return `${who} made the group “${act.groupCreate.settings?.title ?? ''}”`;
  if (act.groupUpdate?.title) return `${who} called the group “${act.groupUpdate.title}”`;
  if (act.groupUpdate) return `${who} changed the group`;
  if (act.groupInvite) return `${who} added ${(act.groupInvite.uids ?? []).map(whom).join(', ')}`;
  if (act.groupJoin) return `${who} joined`;
  if (act.groupLeave) return `${who} left`;
  if (act.groupRemove) return `${who} removed ${whom(act.groupRemove.uid)}`;
  if (act.groupAdmit) return `${who} admitted ${whom(act.groupAdmit.uid)}`;
  if (act.groupRole) return `${who} made ${whom(act.groupRole.uid)} ${act.groupRole.role === 'ROLE_ADMIN' ? 'an admin' : 'a member'}`;
  if (act.groupTransfer) return `${who} made ${whom(act.groupTransfer.uid)} the owner`;
  if (act.groupDissolve) return `${who} dissolved the group`;
  if (act.pin) return `${who} ${act.pin.unpin ? 'unpinned' : 'pinned'} a message`;
  if (act.disappear) return disappearText(who, act.disappear.afterS ?? 0);
  return null;
}

function disappearText(who, seconds) {
  return seconds ? `${who} lets messages disappear after ${seconds} s` : `${who} lets messages stay`;
}

/** Bytes for people. */
export function sizeOf(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A time for people; null: none yet. */
export function spanOf(ms) {
  if (ms === null) return '–';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
