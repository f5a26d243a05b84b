import { Widget } from '@lumino/widgets';
import type { Mode } from './kernel-mode';

const MODES = [
  ['test', 'Test', 'Test mode: step cells execute in this kernel, and pauses are only shown'],
  [
    'production',
    'Production',
    'Production mode: the notebook is saved and deployed, and step cells show its latest run'
  ]
] as const;

/** The switch Test | Production of the toolbar. It is hidden if there is no mode. */
export class ModeSwitch extends Widget {
  private readonly buttons = new Map<Mode, HTMLButtonElement>();

  /** @param onChoose - called with the mode that was clicked */
  constructor(onChoose: (mode: 'production' | 'test') => void) {
    super();
    this.addClass('jp-pdflow-switch');
    this.node.setAttribute('role', 'group');
    this.node.setAttribute('aria-label', 'Workflow mode');
    for (const [mode, label, title] of MODES) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = label;
      button.title = title;
      button.addEventListener('click', () => {
        if (button.getAttribute('aria-pressed') !== 'true') {
          onChoose(mode);
        }
      });
      this.buttons.set(mode, button);
      this.node.append(button);
    }
    this.setMode(null);
  }

  /** Show the mode of the session. */
  setMode(mode: Mode): void {
    for (const [each, button] of this.buttons) {
      button.setAttribute('aria-pressed', String(each === mode));
    }
    this.setHidden(mode === null);
  }

  /** Disable the buttons while the mode is changing. */
  setBusy(isBusy: boolean): void {
    this.node.setAttribute('aria-busy', String(isBusy));
    for (const button of this.buttons.values()) {
      button.disabled = isBusy;
    }
  }
}
