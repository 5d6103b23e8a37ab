// Logging in, and making an account where the server takes new ones.

import { $ } from './dom.js';

export class Login {
  /** `logIn(what)` tries it, and throws what is wrong. */
  constructor(logIn) {
    this.logIn = logIn;
    this.form = $('login-form');
    this.form.addEventListener('change', () => this.arrange());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    fetch('/v1/register')
      .then((answer) => answer.json())
      .then(({ open }) => {
        $('login-new').hidden = !open;
      })
      .catch(() => {});
    this.arrange();
  }

  /** `uid`: who was logged in; `reason`: why they are not any more. */
  show(uid, reason) {
    $('login').hidden = false;
    if (uid) this.form.uid.value = uid;
    $('login-reason').textContent = reason ?? '';
    const first = this.form.with.value === 'token' ? this.form.token : this.form.uid.value ? this.form.password : this.form.uid;
    first.focus();
  }

  hide() {
    $('login').hidden = true;
    this.form.password.value = '';
    this.form.token.value = '';
  }

  arrange() {
    const chosen = this.form.with.value;
    for (const field of this.form.querySelectorAll('[data-with]')) {
      field.hidden = !field.dataset.with.split(' ').includes(chosen);
    }
    this.form.password.autocomplete = chosen === 'new' ? 'new-password' : 'current-password';
    this.button.textContent = chosen === 'new' ? 'Make the account' : 'Log in';
  }

  get button() {
    return this.form.querySelector('button[type=submit]');
  }

  async submit() {
    const { uid, password, token } = this.form;
    const chosen = this.form.with.value;
    const what =
      chosen === 'token'
        ? { token: token.value.trim() }
        : { uid: uid.value.trim(), password: password.value, isNew: chosen === 'new' };
    this.button.disabled = true;
    $('login-reason').textContent = '';
    try {
      await this.logIn(what);
    } catch (error) {
      $('login-reason').textContent = error.message;
    } finally {
      this.button.disabled = false;
    }
  }
}
