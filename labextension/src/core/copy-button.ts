import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { Component } from './component';

/** How long the status stays beside the button. */
const STATUS_MS = 2000;

/** The properties of {@link copyButton}. */
export interface CopyProps {
  /** Returns the text to copy; called at the click. */
  text: () => string;
  /** The button's accessible name, such as "Copy the resume link". */
  name: string;
  label?: string;
}

class CopyButton extends Component<CopyProps> {
  private status = '';
  private timer: ReturnType<typeof setTimeout> | undefined;

  protected override stop(): void {
    clearTimeout(this.timer);
    this.status = '';
  }

  protected template(): unknown {
    const status = html`<span class="jp-PDFlow-copy-status" role="status">${this.status}</span>`;
    return html`<span class="jp-PDFlow-copy"
      ><button
        type="button"
        class="jp-PDFlow-button jp-PDFlow-small"
        aria-label=${this.props.name}
        @click=${this.onClick}
      >
        ${this.props.label ?? 'Copy'}</button
      >${this.status === '' ? nothing : status}</span
    >`;
  }

  private readonly onClick = async ({ currentTarget }: Event): Promise<void> => {
    const isCopied = await copy(this.props.text(), currentTarget as HTMLElement);
    this.status = isCopied ? 'Copied' : 'Could not copy';
    this.requestUpdate();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.status = '';
      this.requestUpdate();
    }, STATUS_MS);
  };
}

/** A button that copies a text and shows whether that worked. */
export const copyButton = directive(CopyButton);

async function copy(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text, near);
  }
}

/** Copy through a text area, because `navigator.clipboard` exists only in secure contexts. */
function copyBySelection(text: string, near: HTMLElement): boolean {
  const area = document.createElement('textarea');
  area.className = 'jp-PDFlow-offscreen';
  area.setAttribute('aria-hidden', 'true');
  area.tabIndex = -1;
  area.value = text;
  near.after(area);
  try {
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    area.remove();
    near.focus({ preventScroll: true });
  }
}
