/** Small parts of the views: times, counters, notices and fields. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import type { ElementPart } from 'lit/directive.js';
import { AsyncDirective, directive } from 'lit/async-directive.js';
import { everySecond, stopCounting } from './ticker';
import { duration, elapsedMs, fullTime, remaining, shortTime } from './times';

/** Return an instant, with the full date as its tooltip. */
export function time(stamp: string, hasSeconds = false): TemplateResult {
  const text = shortTime(stamp, new Date(), hasSeconds);
  return html`<time datetime=${stamp} title=${fullTime(stamp)}>${text}</time>`;
}

/** Makes a text the content of an element, each second while the element is visible. */
class Tick extends AsyncDirective {
  private element: Element | null = null;
  private text: () => string = () => '';

  override update({ element }: ElementPart, [text]: [() => string]): void {
    this.element = element;
    this.text = text;
    this.count();
  }

  override render(_text: () => string): void {
    // `update` does the work.
  }

  protected override disconnected(): void {
    if (this.element) {
      stopCounting(this.element);
    }
  }

  protected override reconnected(): void {
    this.count();
  }

  private count(): void {
    const { element } = this;
    if (element) {
      everySecond(element, () => setText(element, this.text()));
    }
  }
}

/** A directive of an element: `<span ${tick(() => text)}></span>`. */
export const tick = directive(Tick);

/** Return the time until a deadline, and `expiredText` when it has passed. */
export function countdown(deadline: string, expiredText = 'due now'): TemplateResult {
  const until = Date.parse(deadline);
  const text = (): string => {
    const left = until - Date.now();
    return left > 0 ? remaining(left) : expiredText;
  };
  return html`<span class="jp-PDFlow-countdown" ${tick(text)}></span>`;
}

/** Return the time since an instant, which grows each second. */
export function countUp(since: string): TemplateResult {
  const text = (): string => duration(Math.floor(elapsedMs(since, null) / 1000) * 1000);
  return html`<span ${tick(text)}></span>`;
}

/** Return a button. */
export function button(label: unknown, onClick: () => void, kind = 'button'): TemplateResult {
  const classes = kind
    .split(' ')
    .map(name => `jp-PDFlow-${name}`)
    .join(' ');
  return html`<button type="button" class=${classes} @click=${onClick}>${label}</button>`;
}

/** Return a notice that something is loading. */
export function loading(message = 'Loading…'): TemplateResult {
  return html`<p class="jp-PDFlow-loading" role="status">${message}</p>`;
}

/** Return an error notice, with a button that tries again. */
export function failure(message: string, retry: () => void): TemplateResult {
  return html`<div class="jp-PDFlow-failure" role="alert">
    <p>${message}</p>
    ${button('Try again', retry)}
  </div>`;
}

/** Return a field with its label, and a hint in parentheses after the label. */
export function labeledField(
  id: string,
  label: string,
  hint: string,
  field: unknown
): TemplateResult {
  const hintNode = hint === '' ? nothing : html`<span class="jp-PDFlow-hint"> (${hint})</span>`;
  return html`<div class="jp-PDFlow-field">
    <label for=${id}>${label}${hintNode}</label>${field}
  </div>`;
}

/** Set a node's text if it differs, so that live regions announce only changes. */
function setText(node: Node, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}
