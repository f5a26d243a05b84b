import { Dialog } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';
import { checkPayload } from '../core/values/payload';

/** A dialog body with a field for JSON that is validated on input. */
class JsonBody extends Widget implements Dialog.IBodyWidget {
  private readonly area = document.createElement('textarea');
  private readonly message = document.createElement('div');

  /**
   * @param label - the field's label
   * @param text - the initial text
   * @param note - what is said above the field, or an empty text
   */
  constructor(label: string, text: string, note: string) {
    super();
    if (note !== '') {
      const noteNode = document.createElement('p');
      noteNode.textContent = note;
      this.node.append(noteNode);
    }
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
    this.area.addEventListener('keydown', event => this.onKeydown(event));
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
    for (const accept of this.acceptButtons()) {
      accept.disabled = !checked.ok;
    }
  }

  /** Insert a line break on Enter, and accept on Ctrl+Enter or Cmd+Enter. */
  private onKeydown(event: KeyboardEvent): void {
    if (event.key === 'Enter') {
      event.stopPropagation();
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        this.acceptButtons().at(-1)?.click();
      }
    }
  }

  private acceptButtons(): HTMLButtonElement[] {
    const dialog = this.node.closest('.jp-Dialog');
    return [...(dialog?.querySelectorAll<HTMLButtonElement>('button.jp-mod-accept') ?? [])];
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

/** An action of a dialog for JSON: its button's label, or also the button's tooltip. */
export interface JsonAction {
  label: string;
  caption: string;
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
  const answer = await chooseWithJson(title, label, [{ label: action, caption: '' }], text);
  return answer?.input ?? null;
}

/**
 * Ask for JSON in a dialog with several actions; the last one is the default.
 *
 * @param note - what is said above the field
 * @returns the input and the index of the action, or null if the dialog was canceled
 */
export async function chooseWithJson(
  title: string,
  label: string,
  actions: readonly JsonAction[],
  text = '',
  note = ''
): Promise<{ input: JsonInput; action: number } | null> {
  const buttons = actions.map(({ label: name, caption }, index) =>
    index === actions.length - 1
      ? Dialog.okButton({ label: name, caption, actions: [String(index)] })
      : Dialog.createButton({
          label: name,
          caption,
          className: 'jp-pdflow-also',
          actions: [String(index)]
        })
  );
  const dialog = new Dialog<string>({
    title,
    body: new JsonBody(label, text, note),
    buttons: [Dialog.cancelButton(), ...buttons],
    focusNodeSelector: 'textarea'
  });
  const { button, value } = await dialog.launch();
  const action = button.actions.length > 0 ? Number(button.actions[0]) : -1;
  const checked = action >= 0 && value !== null ? checkPayload(value) : null;
  return checked?.ok ? { input: { text: value ?? '', value: checked.value }, action } : null;
}
