import { Widget } from '@lumino/widgets';
import { html, render, type TemplateResult } from 'lit';
import type { ToolbarState } from './toolbar-state';

/** A part of a notebook's toolbar that is drawn by a template. */
export class ToolbarPart extends Widget {
  /** @param template - returns what is shown, or null to hide the part */
  constructor(private readonly template: (state: ToolbarState) => TemplateResult | null) {
    super();
    this.addClass('jp-pdflow-toolbar');
    this.hide();
  }

  /** Show a state. The focus stays in the part. */
  draw(state: ToolbarState): void {
    const hadFocus = this.node.contains(document.activeElement);
    const content = this.template(state);
    this.setHidden(content === null);
    this.node.setAttribute('aria-busy', String(state.isBusy));
    render(content, this.node);
    if (hadFocus && !this.node.contains(document.activeElement)) {
      this.node.querySelector<HTMLElement>('[aria-pressed="true"], button')?.focus();
    }
  }
}

/** Return a button of the toolbar, which is not disabled while it is busy, to keep the focus. */
export function actionButton(
  label: string,
  title: string,
  kind: 'load' | 'main' | 'quiet',
  isBusy: boolean,
  action: () => void
): TemplateResult {
  return html`<button
    type="button"
    class="jp-pdflow-action jp-pdflow-${kind}"
    title=${title}
    aria-disabled=${isBusy}
    @click=${() => (isBusy ? undefined : action())}
  >
    ${label}
  </button>`;
}
