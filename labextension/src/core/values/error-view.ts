import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { Component } from '../component';
import { stripAnsi } from '../formatting';
import type { StepError } from '../types';
import { clippedText } from './clipped-text';
import { lastLines, linesOf } from './fold';

/** Maximum number of lines of a traceback that is not folded. */
const MAX_LINES = 16;
/** Number of the last lines that are shown of a traceback that is folded. */
const LAST_LINES = 12;

/** Return an error of a step, with the last lines of its traceback. */
export function errorView(error: StepError): TemplateResult {
  const traceback = stripAnsi(error.traceback.join('\n'));
  return html`<div class="jp-PDFlow-error">
    <p class="jp-PDFlow-error-message">${clippedText({ text: stripAnsi(error.message) })}</p>
    ${traceback.trim() === '' ? nothing : tracebackView(traceback)}
  </div>`;
}

class Traceback extends Component<string> {
  private isOpen = false;

  protected template(): unknown {
    const text = this.props;
    const lines = linesOf(text);
    const isLong = lines > MAX_LINES;
    const shown = isLong && !this.isOpen ? lastLines(text, LAST_LINES) : text;
    return html`${isLong ? this.toggleButton(lines) : nothing}
      <pre class="jp-PDFlow-traceback" tabindex="0" role="region" aria-label="Traceback">
${shown}</pre>`;
  }

  private toggleButton(lines: number): TemplateResult {
    const label = this.isOpen ? 'Show the last lines' : `Show all ${lines.toLocaleString()} lines`;
    return html`<button
      type="button"
      class="jp-PDFlow-link jp-PDFlow-folded"
      aria-expanded=${this.isOpen}
      @click=${this.toggle}
    >
      ${label}
    </button>`;
  }

  private readonly toggle = (): void => {
    this.isOpen = !this.isOpen;
    this.requestUpdate();
  };
}

const tracebackView = directive(Traceback);
