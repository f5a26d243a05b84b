import { ToolbarButton } from '@jupyterlab/ui-components';

/** A button of a toolbar. JupyterLab's own one looks pressed after each second click. */
export class ActionButton extends ToolbarButton {
  override get pressed(): boolean {
    return false;
  }

  override set pressed(_: boolean) {
    // It never is.
  }
}
