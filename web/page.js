// A tab: puts what the hub tells onto the screen, and what people do into the hub.

import { Tab } from './tab.js';
import { Composer } from './view/composer.js';
import { Connection } from './view/connection.js';
import { $ } from './view/dom.js';
import { HiddenFrames } from './view/hidden_frames.js';
import { List } from './view/list.js';
import { Login } from './view/login.js';
import { startTheme } from './view/theme.js';
import { Thread } from './view/thread.js';

/** How long a notice stays. */
const NOTICE_MS = 6000;

const tab = new Tab({
  joined: showEverything,
  everything: showEverything,
  connection: showConnection,
  line: (line) => {
    list.put(line);
    thread.lineChanged(line);
  },
  lines: (lines) => list.fill(lines, account.uid),
  message: (row) => thread.add(row),
  outbox: (row) => thread.putOutbox(row),
  sent: (place) => thread.sent(place),
  stale: ({ conversation }) => (conversation ?? thread.conversation) === thread.conversation && thread.refresh(),
  typing: (signal) => thread.showTyping(signal),
  figures: (summary) => connection.figures(summary),
  notice: ({ text }) => notify(text),
  broken: ({ reason }) => notify(`This browser lets the page keep nothing, so that it cannot start: ${reason}`),
  frame: (frame) => frames.open(frame),
  frameClose: ({ frame }) => frames.close(frame),
});

let account = null;
const frames = new HiddenFrames((name, value) => tab.ask(name, value));
const login = new Login((what) => tab.ask('logIn', what));
const list = new List(openConversation);
const connection = new Connection({ hurry: () => tab.ask('hurry'), choose: (way) => tab.ask('choose', { way }) });
const thread = new Thread({
  ask: (name, value) => tab.ask(name, value),
  lineFor: (conversation) => list.find(conversation),
  seen: (conversation, cseq) => tab.ask('read', { conversation, cseq }),
  actions: {
    say,
    reply: (row) => composer.reply(row),
    edit: (row) => composer.edit(row),
    react: (row, reaction) => act(row, { react: { cseq: row.cseq, reaction: row.reactions.mine === reaction ? '' : reaction } }),
    recall: (row) => act(row, { recall: { cseq: row.cseq } }),
  },
});
const composer = new Composer({
  say,
  typing: (to) => tab.ask('typing', { to }),
  up: () => thread.focusNewest(),
});

startTheme();
$('log-out').addEventListener('click', logOut);
$('back').addEventListener('click', closeConversation);
document.addEventListener('keydown', onKey);
tab.open();

function showEverything(everything) {
  account = everything.account;
  $('chat').hidden = !account;
  connection.fill(everything.ways);
  if (!account) {
    closeConversation();
    login.show('', '');
    return;
  }
  login.hide();
  $('me').textContent = account.uid;
  $('me').title = `This browser is the device ${account.device}`;
  thread.me = account.uid;
  list.fill(everything.lines, account.uid);
  thread.fillOutbox(everything.outbox);
  connection.show(everything.connection);
  connection.figures(everything.figures);
  showConnection(everything.connection);
}

function showConnection(state) {
  connection.show(state);
  if (state.name === 'login') {
    $('chat').hidden = true;
    login.show(account?.uid, `Please log in again: ${state.reason}`);
  } else if (account && state.name === 'online' && thread.conversation) {
    thread.refresh();
  }
}

function openConversation(conversation) {
  list.choose(conversation);
  $('chat').classList.add('reading');
  thread.open(conversation);
  composer.open(conversation, account.uid);
}

function closeConversation() {
  list.choose(null);
  $('chat').classList.remove('reading');
  thread.close();
}

/** Hands a message in. Its key is its own, so that a repetition is the same message. */
function say(send) {
  const words = crypto.getRandomValues(new Uint32Array(3));
  const key = Array.from(words, (word) => word.toString(36)).join('-');
  return tab.ask('say', { send, key }).catch((error) => {
    notify(error.message);
    throw error;
  });
}

function act(row, what) {
  return say({ to: row.conversation, act: what });
}

async function logOut() {
  const waiting = [...thread.outbox.values()].filter(({ state }) => state === 'waiting').length;
  const warning = waiting > 0 ? `\n${waiting} messages have not been sent yet: they would be lost.` : '';
  if (confirm(`Log out? What this browser has kept goes.${warning}`)) await tab.ask('logOut');
}

function notify(text) {
  $('notice').textContent = text;
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => $('notice').replaceChildren(), NOTICE_MS);
}

/** Ctrl+K finds, Alt with the arrows goes from conversation to conversation. */
function onKey(event) {
  if (!account) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if ((event.ctrlKey || event.metaKey) && event.key === 'k') $('find-name').focus();
  else if (event.altKey && step) openConversation(list.neighbour(step) ?? thread.conversation);
  else return;
  event.preventDefault();
}
