import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { repeat } from 'lit/directives/repeat.js';
import { shape } from '../badge';
import { Component } from '../component';
import { actionErrorMessage } from '../formatting';
import type { BadgeStatus } from '../formatting';
import type { Host } from '../host';
import { button, time } from '../parts';
import type { Email } from '../types';

/** The shape and the word of each status. */
const STATUSES: Record<Email['status'], [BadgeStatus, string]> = {
  sent: ['succeeded', 'Sent'],
  queued: ['queued', 'Queued'],
  failed: ['failed', 'Failed'],
  kept: ['paused', 'Not sent']
};

/** The properties of {@link emailsTab}. */
export interface EmailsProps {
  host: Host;
  emails: readonly Email[];
  /** Called when an email is sent again. */
  onChange: () => void;
}

class EmailsTab extends Component<EmailsProps> {
  /** What became of an email that is sent again, by its id. */
  private readonly results = new Map<string, string>();

  protected template(): unknown {
    const { emails } = this.props;
    if (emails.length === 0) {
      return html`<p class="jp-PDFlow-hint">The run has sent no emails.</p>`;
    }
    const draw = (email: Email): TemplateResult => this.email(email);
    return html`<ul class="jp-PDFlow-emails" role="list">
      ${repeat(emails, ({ id }) => id, draw)}
    </ul>`;
  }

  private email(email: Email): TemplateResult {
    const [status, word] = STATUSES[email.status];
    return html`<li>
      <details>
        <summary>
          <span class="jp-PDFlow-email-subject">${email.subject || 'No subject'}</span>
          <span class="jp-PDFlow-badge" data-status=${status}
            >${shape(status)}<span>${word}</span></span
          >
          <span class="jp-PDFlow-email-facts"
            >to ${email.to.join(', ')} · step ${email.step} · ${time(email.created_at)}</span
          >
        </summary>
        <pre class="jp-PDFlow-email-text" tabindex="0" aria-label="Text of the email">
${textOf(email)}</pre>
      </details>
      ${this.problem(email)}
    </li>`;
  }

  private problem({ id, status, error }: Email): unknown {
    const isKept = status === 'kept';
    const why = isKept ? 'Kept here, because no mail server is configured.' : error;
    const again =
      status === 'failed'
        ? button('Send again', () => void this.retry(id), 'button small')
        : nothing;
    const result = this.results.get(id) ?? '';
    return why === null && again === nothing && result === ''
      ? nothing
      : html`<div class="jp-PDFlow-email-problem">
          ${why === null ? nothing : html`<span data-kept=${isKept}>${why}</span>`} ${again}
          <span role="status">${result}</span>
        </div>`;
  }

  private async retry(id: string): Promise<void> {
    this.report(id, 'Sending…');
    try {
      await this.props.host.retryEmail(id);
      this.report(id, 'It is sent again.');
    } catch (error) {
      this.report(id, actionErrorMessage(error));
    }
    this.props.onChange();
  }

  private report(id: string, text: string): void {
    this.results.set(id, text);
    this.requestUpdate();
  }
}

/** The emails of a run, with the text of each on demand. */
export const emailsTab = directive(EmailsTab);

/** Return the text of an email, or that of its HTML. Nothing of the HTML is loaded or run. */
function textOf({ text, html: markup }: Email): string {
  if (text.trim() !== '' || markup === null) {
    return text;
  }
  const { body } = new DOMParser().parseFromString(markup, 'text/html');
  body.querySelectorAll('script, style').forEach(node => node.remove());
  body.querySelectorAll('br, p, div, li, tr, h1, h2, h3').forEach(node => node.after('\n'));
  return body.textContent.trim();
}
