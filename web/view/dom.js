// Elements made and filled. What people wrote becomes text and never anything else.

export const $ = (id) => document.getElementById(id);

/** `make('p', { class: 'small', onclick }, 'text', child)`: strings become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false && child !== ''));
  return element;
}

/** Gives `parent` these children, and moves only what does not stand where it should: what stays is not announced again. */
export function arrange(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, at) => {
    if (parent.children[at] !== element) parent.insertBefore(element, parent.children[at] ?? null);
  });
}

/** Calls `work` once, soon, however often it is asked for until then. A hidden page is never drawn. */
export function gathering(work) {
  let isDue = false;
  const run = () => {
    isDue = false;
    work();
  };
  return () => {
    if (isDue) return;
    isDue = true;
    if (document.hidden) setTimeout(run);
    else requestAnimationFrame(run);
  };
}

/** A round sign for somebody, or a square one for a group. */
export function face(element, name, isGroup) {
  element.textContent = [...name][0]?.toUpperCase() ?? '?';
  element.className = `face hue${hueOf(name)}${isGroup ? ' group' : ''}`;
  return element;
}

function hueOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 8191;
  return sum % 8;
}

const timeOnly = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayOnly = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

export function timeOf(ms) {
  return timeOnly.format(ms);
}

export function dayOf(ms) {
  return dayOnly.format(ms);
}

/** The time today, the day before that. */
export function briefTime(ms) {
  return new Date(ms).toDateString() === new Date().toDateString() ? timeOnly.format(ms) : shortDay.format(ms);
}
