import { html, type TemplateResult } from 'lit';
import { actionButton, ToolbarPart } from './toolbar-part';
import type { ToolbarState } from './toolbar-state';

type ShownMode = 'production' | 'test';

const MODES = [
  ['test', 'Test', 'Test mode: step cells execute in this kernel, and pauses are only shown'],
  [
    'production',
    'Production',
    'Production mode: the notebook is saved and deployed, and step cells show its latest run'
  ]
] as const;
const LOAD_TITLE = 'Run %load_ext jupyter_pdflow in this kernel, so that step cells work';
const NO_MODE_TITLE = 'The kernel has not told its mode yet: it starts, or it is not running';

/** The switch Test | Production of the toolbar, or the button that loads the extension. */
export class ModeSwitch extends ToolbarPart {
  /**
   * @param onChoose - called with the mode that was clicked
   * @param onLoad - called to load the extension
   */
  constructor(onChoose: (mode: ShownMode) => void, onLoad: () => void) {
    super(state => {
      switch (state.control) {
        case 'switch':
          return modeButtons(state, onChoose);
        case 'load':
          return actionButton('Load workflows', LOAD_TITLE, 'load', state.isBusy, onLoad);
        case 'none':
          return null;
      }
    });
  }
}

function modeButtons(
  { mode, isBusy }: ToolbarState,
  onChoose: (mode: ShownMode) => void
): TemplateResult {
  const isInert = isBusy || mode === null;
  const button = ([each, label, title]: (typeof MODES)[number]): TemplateResult =>
    html`<button
      type="button"
      data-label=${label}
      title=${mode === null ? NO_MODE_TITLE : title}
      aria-pressed=${each === mode}
      aria-disabled=${isInert}
      @click=${() => (isInert ? undefined : onChoose(each))}
    >
      ${label}
    </button>`;
  return html`<div class="jp-pdflow-switch" role="group" aria-label="Workflow mode">
    ${MODES.map(button)}
  </div>`;
}
