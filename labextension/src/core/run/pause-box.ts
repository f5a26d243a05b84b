import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { copyButton } from '../copy-button';
import { deadlineLabel, pauseLabel } from '../formatting';
import { countdown, time } from '../parts';
import type { Pause } from '../types';
import { approvals, askedText, asks, listNames, timeoutText } from './decisions';

/** Return the pause of a run: what is asked and of whom, its deadline and its links. */
export function pauseBox(pause: Pause | null): unknown {
  if (pause === null) {
    return nothing;
  }
  const isQuestion = asks(pause);
  const label = isQuestion ? askedText(pause) : `Step ${pause.step} ${pauseLabel(pause.kind)}`;
  const quiet = pause.message_html === null ? '' : ' jp-PDFlow-quiet';
  return html`<div class="jp-PDFlow-pause" data-kind=${pause.kind}>
    ${pause.message_html === null ? nothing : message(pause.message_html)}
    <p class="jp-PDFlow-pause-label${quiet}">${label}</p>
    ${isQuestion ? people(pause) : nothing}${deadline(pause)}
    ${isQuestion ? html`<p class="jp-PDFlow-rejection">${rejectionText(pause)}</p>` : nothing}
    ${links(pause)}
  </div>`;
}

/** Return a message, which the server has made from Markdown. */
function message(markup: string): unknown {
  return guard([markup], () => {
    const node = document.createElement('div');
    node.className = 'jp-PDFlow-message';
    // The server lets no raw HTML into `message_html`. Nothing else may be set in this way.
    node.innerHTML = markup;
    // Else a link would replace JupyterLab.
    node.querySelectorAll('a').forEach(link => (link.target = '_blank'));
    return node;
  });
}

/** Return the approvals, those who have not answered, and the emails that fail. */
function people(pause: Pause): unknown {
  const { approvers, waiting_for: missing, undelivered } = pause;
  const failed = Object.entries(undelivered);
  const isPartly = missing.length > 0 && missing.length < approvers.length;
  if (pause.approvals.length === 0 && !isPartly && failed.length === 0) {
    return nothing;
  }
  const approved =
    pause.approvals.length === 0
      ? nothing
      : html`<p class="jp-PDFlow-approvals">${approvals(pause)}</p>`;
  return html`<div class="jp-PDFlow-people">
    ${approved} ${isPartly ? html`<p>Waiting for ${listNames(missing, 'and')}.</p>` : nothing}
    ${failed.map(
      ([address, reason]) =>
        html`<p class="jp-PDFlow-warning">The email to ${address} can’t be sent: ${reason}</p>`
    )}
  </div>`;
}

function deadline(pause: Pause): TemplateResult {
  const then = pause.kind === 'suspend' ? `; ${timeoutText(pause)}.` : '';
  return html`<p class="jp-PDFlow-pause-time">
    <span class="jp-PDFlow-until">${deadlineLabel(pause.kind)} </span
    ><span role="timer">${countdown(pause.deadline)}</span>
    <span class="jp-PDFlow-at">(${time(pause.deadline)})</span><span>${then}</span>
  </p>`;
}

function rejectionText({ on_reject }: Pause): string {
  return on_reject === 'cancel'
    ? 'A rejection ends the run.'
    : 'After a rejection the run continues.';
}

/** Return the links of a pause. Those of a pause with approvers decide nothing. */
function links({ resume_url, cancel_url, approvers }: Pause): unknown {
  if (resume_url === null || cancel_url === null || approvers.length > 0) {
    return nothing;
  }
  return html`<p class="jp-PDFlow-links">
    ${linkRow('Resume', resume_url)}${linkRow('Cancel', cancel_url)}
  </p>`;
}

function linkRow(name: string, url: string): TemplateResult {
  const copy = copyButton({ text: () => url, name: `Copy the ${name.toLowerCase()} link` });
  return html`<span class="jp-PDFlow-link-row">${name} link ${copy}</span>`;
}
