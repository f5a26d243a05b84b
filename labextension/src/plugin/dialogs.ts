import { Dialog } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';
import { checkPayload } from '../core/payload';

/** A dialog body with a field for JSON that is validated on input. */
class JsonBody extends Widget implements Dialog.IBodyWidget {
  private readonly area = document.createElement('textarea');
  private readonly message = document.createElement('div');

  /**
   * @param label - the field's label
   * @param text - the initial text
   */
  constructor(label: string, text: string) {
    super();
    this.addClass('jp-pdflow-json');
    const labelNode = document.createElement('label');
    labelNode.textContent = label;
    labelNode.append(this.area);
    this.area.value = text;
    this.area.rows = 8;
    this.area.spellcheck = false;
    this.area.className = 'jp-mod-styled';
    this.message.setAttribute('role', 'status');
    this.area.addEventListener('input', () => this.check());
    // Enter inserts a line break. Ctrl+Enter or Cmd+Enter reaches the dialog, which accepts.
    this.area.addEventListener('keydown', event => {
      if (event.key === 'Enter' && !(event.ctrlKey || event.metaKey)) {
        event.stopPropagation();
      }
    });
    this.node.append(labelNode, this.message);
  }

  /** Return the text of the field. */
  getValue(): string {
    return this.area.value;
  }

  /** Validate the text, show what is wrong with it, and disable the accept button if needed. */
  check(): void {
    const checked = checkPayload(this.area.value);
    this.message.textContent = checked.ok ? '' : checked.message;
    this.area.setAttribute('aria-invalid', String(!checked.ok));
    const accept = this.node.closest('.jp-Dialog')?.querySelector('.jp-mod-accept');
    if (accept instanceof HTMLButtonElement) {
      accept.disabled = !checked.ok;
    }
  }

  protected override onAfterAttach(): void {
    this.check();
  }
}

/** The text that was entered, and its JSON value. */
export interface JsonInput {
  text: string;
  value: unknown;
}

/**
 * Ask for JSON in a dialog.
 *
 * @returns the input, or null if the dialog was canceled
 */
export async function promptJson(
  title: string,
  label: string,
  action: string,
  text = ''
): Promise<JsonInput | null> {
  const dialog = new Dialog<string>({
    title,
    body: new JsonBody(label, text),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: action })],
    focusNodeSelector: 'textarea'
  });
  const { button, value } = await dialog.launch();
  const checked = button.accept && value !== null ? checkPayload(value) : null;
  return checked?.ok ? { text: value ?? '', value: checked.value } : null;
}
