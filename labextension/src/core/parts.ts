/** Small parts of the views: times, counters, notices and fields. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import type { ElementPart } from 'lit/directive.js';
import { AsyncDirective, directive } from 'lit/async-directive.js';
import { everyVisibleSecond, stopCounting } from './ticker';
import { duration, elapsedMs, fullTime, remaining, shortTime } from './times';

/** Return an instant, with the full date as its tooltip. */
export function time(stamp: string, hasSeconds = false): TemplateResult {
  const text = shortTime(stamp, new Date(), hasSeconds);
  return html`<time datetime=${stamp} title=${fullTime(stamp)}>${text}</time>`;
}

/** Acts each second while an element is visible. */
class WhileVisible extends AsyncDirective {
  private element: Element | null = null;
  protected act: () => unknown = () => undefined;

  override update({ element }: ElementPart, [act]: [() => unknown]): void {
    this.element = element;
    this.act = act;
    this.reconnected();
  }

  override render(_act: () => unknown): void {
    // `update` does the work.
  }

  protected override disconnected(): void {
    if (this.element) {
      stopCounting(this.element);
    }
  }

  protected override reconnected(): void {
    if (this.element) {
      everyVisibleSecond(this.element, this.act);
    }
  }
}

/** A directive of an element, `<div ${whileVisible(act)}>`: acts each second while it is visible. */
export const whileVisible = directive(WhileVisible);

/** Makes a text the content of an element, now and each second while the element is visible. */
class Tick extends WhileVisible {
  override update(part: ElementPart, [text]: [() => string]): void {
    super.update(part, [() => setText(part.element, text())]);
  }

  override render(_text: () => string): void {
    // `update` does the work.
  }

  protected override reconnected(): void {
    this.act();
    super.reconnected();
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
