import { html, type TemplateResult } from 'lit';
import { actionButton, ToolbarPart } from './toolbar-part';
import type { ToolbarState } from './toolbar-state';

/** The notes on a version. What is in `jp-pdflow-wide` is left out where there is little room. */
const NOTES = [
  ['up to date', html`<span class="jp-pdflow-wide">· up to date</span>`],
  ['edited since', html`· <b>edited<span class="jp-pdflow-wide"> since</span></b>`]
] as const;

/** The deployed version in the toolbar, whether the notebook was edited since, and *Deploy*. */
export class DeployState extends ToolbarPart {
  /** @param onDeploy - called to deploy the notebook */
  constructor(onDeploy: () => void) {
    super(state => (state.hasDeploy ? deployState(state, onDeploy) : null));
  }
}

/** Return the version and the note, with room for either note so that nothing moves. */
function deployState(state: ToolbarState, onDeploy: () => void): TemplateResult {
  const { version, versionTitle, note, noteTitle, isPending, isBusy } = state;
  const title = isPending
    ? 'Save and deploy this notebook, so that runs use the code that you see'
    : 'Save and deploy this notebook again';
  const notes = version
    ? NOTES.map(([each, text]) => html`<span aria-hidden=${each !== note}>${text}</span>`)
    : note;
  return html`<span class="jp-pdflow-version">
      <span class="jp-pdflow-number" title=${versionTitle}>${version}</span>
      <span class="jp-pdflow-note" title=${noteTitle} data-note=${note}>${notes}</span>
    </span>
    ${actionButton('Deploy', title, isPending ? 'main' : 'quiet', isBusy, onDeploy)}`;
}
