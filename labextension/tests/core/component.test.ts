import { html } from 'lit';
import { directive } from 'lit/async-directive.js';
import { repeat } from 'lit/directives/repeat.js';
import { expect, it } from 'vitest';
import { Component, mount } from '../../src/core/component';
import { buttonOf, makeRoot, one, shownText } from './helpers';

const log: string[] = [];

class Counter extends Component<{ name: string }> {
  private count = 0;

  protected override start(): void {
    log.push(`start ${this.props.name}`);
  }

  protected override stop(): void {
    log.push(`stop ${this.props.name}`);
  }

  protected template(): unknown {
    if (this.count > 1) {
      throw new Error('too many');
    }
    const add = (): void => {
      this.count += 1;
      this.requestUpdate();
    };
    return html`<button @click=${add}>${this.props.name} ${this.count}</button>`;
  }
}

const counter = directive(Counter);

it('keeps the state of each part, and starts and stops it once', async () => {
  log.length = 0;
  const root = makeRoot();
  const draw = (names: string[]): (() => void) =>
    mount(root, html`${repeat(names, String, name => counter({ name }))}`);
  draw(['a', 'b']);
  one(root, 'button:nth-of-type(2)').click();
  await Promise.resolve();
  expect(shownText(root)).toBe('a 0 b 1');
  const unmount = draw(['b', 'a']);
  expect(shownText(root)).toBe('b 1 a 0');
  expect(log).toEqual(['start a', 'start b']);
  unmount();
  expect(log.slice(2).sort()).toEqual(['stop a', 'stop b']);
  expect(shownText(root)).toBe('');
});

it('contains the error of a part', async () => {
  const root = makeRoot();
  mount(root, html`${counter({ name: 'a' })} ${counter({ name: 'b' })}`);
  buttonOf(root, 'a 0').click();
  await Promise.resolve();
  buttonOf(root, 'a 1').click();
  await Promise.resolve();
  expect(shownText(root)).toBe('This can’t be shown: too many b 0');
});
