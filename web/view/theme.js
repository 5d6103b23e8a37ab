// Light, dark, or as the system has it.

import { $ } from './dom.js';

const KEY = 'hongyan theme';
const NEXT = { system: 'light', light: 'dark', dark: 'system' };

export function startTheme() {
  let theme = localStorage.getItem(KEY) ?? 'system';
  const show = () => {
    document.documentElement.className = theme;
    $('theme').setAttribute('aria-label', `Colours: ${theme}. Change`);
    $('theme').title = `Colours: ${theme}`;
  };
  $('theme').addEventListener('click', () => {
    theme = NEXT[theme];
    localStorage.setItem(KEY, theme);
    show();
  });
  show();
}
