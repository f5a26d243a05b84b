import { html } from 'lit';
import { directive } from 'lit/async-directive.js';
import { Component } from '../component';
import { clip } from './short';

/** Number of characters of a text that are shown before "more" is clicked. */
export const STRING_LIMIT = 300;

/** The properties of {@link clippedText}. */
export interface ClippedTextProps {
  text: string;
  /** Number of characters that are shown at first. */
  limit?: number;
}

class ClippedText extends Component<ClippedTextProps> {
  private isOpen = false;

  protected template(): unknown {
    const { text, limit = STRING_LIMIT } = this.props;
    if (text.length <= limit) {
      return html`<span class="jp-PDFlow-clip">${text}</span>`;
    }
    const rest = (text.length - limit).toLocaleString();
    const shown = this.isOpen ? text : `${clip(text, limit)}…`;
    return html`<span class="jp-PDFlow-clip" ?data-whole=${this.isOpen}>${shown}</span>
      <button
        type="button"
        class="jp-PDFlow-link"
        aria-expanded=${this.isOpen}
        @click=${this.toggle}
      >
        ${this.isOpen ? 'less' : `more (${rest} characters)`}
      </button>`;
  }

  private readonly toggle = (): void => {
    this.isOpen = !this.isOpen;
    this.requestUpdate();
  };
}

/** A text whose first characters are shown, with a button that shows all of it. */
export const clippedText = directive(ClippedText);
