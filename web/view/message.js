// One message as people see it.

import { make, timeOf } from './dom.js';
import { briefly, goneText } from './words.js';

const REACTIONS = ['👍', '❤️', '😂', '😮', '🙏'];

const TICKS = {
  waiting: ['◷', 'waiting to be sent'],
  sent: ['✓', 'sent'],
  delivered: ['✓✓', 'delivered'],
  read: ['✓✓', 'read'],
};

/**
 * `quoted`: the row that this one answers, if known; `isJoined`: the one above is of the same person; `tick`: how far one's
 * own has come. What can be done: `react(row, reaction)`, `reply(row)`, `edit(row)`, `recall(row)`, `jump(cseq)`.
 */
export function messageElement({ row, me, tick, quoted, isJoined }, actions) {
  const isMine = row.from === me;
  const isGroup = row.conversation.startsWith('#');
  const classes = `message${isMine ? ' mine' : ''}${isJoined ? ' joined' : ''}`;
  const bubble = make(
    'div',
    { class: 'bubble' },
    isGroup && !isMine && !isJoined && make('div', { class: 'author' }, row.from),
    row.forwardedFrom && make('div', { class: 'small' }, `forwarded, first written by ${row.forwardedFrom}`),
    row.replyTo > 0 && quote(row, quoted, me, actions),
    make('span', { class: row.gone || row.isOpaque ? 'text gone' : 'text' }, textOf(row)),
    foot(row, tick),
  );
  const attributes = { class: classes, tabindex: '-1', 'data-cseq': row.cseq };
  return make('li', attributes, bubble, reactions(row, actions), !row.gone && tools(row, isMine, actions));
}

/** One of our own that has no place in the conversation yet. `discard` and `retry` are for those that were refused. */
export function waitingElement(row, { discard, retry }) {
  const shown = { text: row.send.text ?? '', timeMs: row.atMs };
  const element = make('li', { class: 'message mine', tabindex: '-1', 'data-send': row.sendNo });
  const bubble = make('div', { class: 'bubble' }, make('span', { class: 'text' }, shown.text));
  bubble.append(foot(shown, row.state === 'refused' ? null : row.state));
  element.append(bubble);
  if (row.state === 'refused') {
    element.append(
      make(
        'p',
        { class: 'refused' },
        `Not sent: ${row.reason}`,
        make('button', { type: 'button', onclick: retry }, 'Try again'),
        make('button', { type: 'button', onclick: discard }, 'Discard'),
      ),
    );
  }
  return element;
}

function textOf(row) {
  if (row.gone) return goneText(row);
  return row.text ?? 'A message that this page cannot show';
}

function foot(row, state) {
  const [sign, meaning] = TICKS[state] ?? [];
  return make(
    'span',
    { class: 'foot' },
    row.editedMs && !row.gone ? 'edited' : false,
    make('time', { datetime: new Date(row.timeMs).toISOString() }, timeOf(row.timeMs)),
    sign ? make('span', { class: `tick ${state}`, role: 'img', 'aria-label': meaning, title: meaning }, sign) : false,
  );
}

function quote(row, quoted, me, { jump }) {
  const button = make('button', { class: 'quote', type: 'button', onclick: () => jump(row.replyTo) });
  if (quoted) button.append(make('b', {}, quoted.from === me ? 'You' : quoted.from), ` ${briefly(quoted, me)}`);
  else button.append('An earlier message');
  return button;
}

function reactions(row, { react }) {
  const counts = Object.entries(row.reactions.counts).filter(([, count]) => count > 0);
  if (counts.length === 0) return null;
  const buttons = counts.map(([reaction, count]) => {
    const isMine = row.reactions.mine === reaction;
    const onclick = () => react(row, isMine ? '' : reaction);
    const label = `${reaction}, ${count}${isMine ? ', yours too' : ''}`;
    const attributes = { type: 'button', 'aria-pressed': String(isMine), 'aria-label': label, onclick };
    return make('button', attributes, `${reaction} ${count}`);
  });
  return make('div', { class: 'reactions' }, ...buttons);
}

function tools(row, isMine, { react, reply, edit, recall }) {
  const button = (sign, label, onclick) =>
    make('button', { type: 'button', 'aria-label': label, title: label, tabindex: '-1', onclick }, sign);
  return make(
    'div',
    { class: 'tools', role: 'toolbar', 'aria-label': 'What to do with this message' },
    ...REACTIONS.map((sign) => button(sign, `React with ${sign}`, () => react(row, sign))),
    button('↩', 'Reply (R)', () => reply(row)),
    isMine && row.text !== null && button('✎', 'Edit (E)', () => edit(row)),
    isMine && button('🗑', 'Take back (Delete)', () => recall(row)),
  );
}
