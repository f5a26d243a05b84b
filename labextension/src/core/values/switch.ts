import type { TemplateResult } from 'lit';
import { html } from 'lit';

/** Return buttons of which one is pressed: the ways in which something is shown. */
export function switchOf<T extends string>(
  label: string,
  options: readonly T[],
  current: T,
  onChoose: (option: T) => void
): TemplateResult {
  const buttons = options.map(
    option =>
      html`<button
        type="button"
        aria-pressed=${option === current}
        @click=${() => onChoose(option)}
      >
        ${option}
      </button>`
  );
  return html`<div class="jp-PDFlow-switch" role="group" aria-label=${label}>${buttons}</div>`;
}
