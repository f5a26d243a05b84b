import type { FormSchema } from './ask-form';
import { AskForm } from './ask-form';
import { asks, isSamePause } from './decisions';
import { button, el, hasFocus, setVisible, uniqueId } from './dom';
import { enterDraft, keepDraft, takeDraft } from './drafts';
import { labeledField } from './form';
import type { PayloadCheck } from './payload';
import { PayloadField } from './payload';
import type { FieldError, Pause } from './types';

/** What to do after errors were shown at their fields. */
export const CORRECT = 'Correct the marked fields.';

/** Maximum number of characters of a note. */
const MAX_NOTE = 500;

/**
 * What a person enters for a pause: the fields of its form, or else JSON, and a note.
 *
 * What was entered stays until it is sent, or until the run waits in another pause; also if the view
 * is drawn again.
 */
export class AnswerBox {
  readonly node: HTMLElement;
  private readonly data: PayloadField;
  private readonly foldedData: Folded;
  private readonly note: HTMLTextAreaElement;
  private readonly foldedNote: Folded;
  private readonly formPlace = el('div', { hidden: true });
  private form: AskForm | null = null;
  private pause: Pause | null = null;
  private isValid = true;
  private isShown = false;
  private draftKey = '';

  /** @param onInput - called after each change, with whether the data can be sent */
  constructor(private readonly onInput: (isValid: boolean) => void) {
    this.data = new PayloadField('Data for the step', ok => {
      this.isValid = ok;
      this.changed();
    });
    this.note = el('textarea', { id: uniqueId(), rows: 2, maxlength: MAX_NOTE, class: 'prose' });
    this.note.addEventListener('input', () => this.changed());
    this.foldedData = new Folded('Answer with data…', this.data.node);
    const note = labeledField('Note', 'optional, shown with the decision', this.note);
    this.foldedNote = new Folded('Add a note…', note);
    this.node = el(
      'div',
      { class: 'answer', hidden: true },
      this.formPlace,
      this.foldedData.node,
      this.foldedNote.node
    );
  }

  /** Whether anything is entered that was not sent. */
  get isEdited(): boolean {
    return this.data.text !== '' || this.note.value !== '' || this.form?.isEdited === true;
  }

  /** Whether any JSON is entered. */
  get hasData(): boolean {
    return this.form !== null || this.data.text.trim() !== '';
  }

  /** The note, or null if it is empty. */
  get noteText(): string | null {
    return this.note.value.trim() || null;
  }

  /**
   * Show the fields for a pause of a run, or nothing for null.
   *
   * @returns a warning if something was entered for another pause, or an empty text
   */
  update(pause: Pause | null, runId: string): string {
    const previous = this.pause;
    this.isShown = pause !== null;
    setVisible(this.node, this.isShown);
    if (pause === null || (previous !== null && isSamePause(pause, previous))) {
      this.markEdited();
      return '';
    }
    const isUsed = this.isEdited || hasFocus(this.node);
    const isOther = asks(previous) || asks(pause);
    takeDraft(this.draftKey);
    this.draftKey = `${runId} ${pause.step} ${pause.since}`;
    this.draw(pause, isOther);
    const effect = isOther
      ? 'What you entered for the earlier question was not sent.'
      : 'Your data goes to that step.';
    return previous !== null && isUsed ? `The run now waits at step ${pause.step}. ${effect}` : '';
  }

  /** Return the answer, or what is wrong with it, which is then shown. */
  read(): PayloadCheck {
    if (this.form === null) {
      const checked = this.data.check();
      if (!checked.ok) {
        this.foldedData.open();
      }
      return checked;
    }
    const problems = this.form.problems();
    if (problems.length === 0) {
      return { ok: true, value: this.form.answer() };
    }
    this.form.showErrors(problems);
    return { ok: false, message: CORRECT };
  }

  /** Show errors at their fields. Returns the messages that belong to none of the fields. */
  showErrors(errors: readonly FieldError[]): string[] {
    return this.form?.showErrors(errors) ?? errors.map(({ message }) => message);
  }

  /** Forget what was entered. */
  clear(): void {
    this.data.clear();
    this.note.value = '';
    if (this.pause !== null) {
      this.drawForm(this.pause);
    }
    this.changed();
  }

  /** Draw the fields for a new pause, with what was entered in an earlier view of it. */
  private draw(pause: Pause, isEmpty: boolean): void {
    const draft = takeDraft(this.draftKey);
    this.pause = pause;
    if (isEmpty) {
      this.clear();
    }
    this.drawForm(pause);
    if (draft !== undefined) {
      enterDraft(draft, this.node);
      this.data.check();
    }
    this.fold(pause);
    this.changed();
  }

  private drawForm({ form }: Pause): void {
    this.form =
      form === null ? null : new AskForm(form as unknown as FormSchema, () => this.changed());
    this.formPlace.replaceChildren(...(this.form === null ? [] : [this.form.node]));
    setVisible(this.formPlace, form !== null);
  }

  /** Show the fields that most people need, and buttons that show the others. */
  private fold(pause: Pause): void {
    const isQuestion = asks(pause);
    setVisible(this.foldedData.node, pause.form === null);
    this.foldedData.setOpen(!isQuestion || this.data.text !== '');
    this.foldedNote.setOpen(isQuestion || this.note.value !== '');
  }

  /** Mark the element while it has input that is not sent, for pages that would draw it again. */
  private markEdited(): void {
    this.node.toggleAttribute('data-edited', this.isShown && this.isEdited);
  }

  private changed(): void {
    this.markEdited();
    if (this.isEdited) {
      keepDraft(this.draftKey, this.node);
    } else {
      takeDraft(this.draftKey);
    }
    this.onInput(this.form !== null || this.isValid);
  }
}

/** A field behind a button that shows it. */
class Folded {
  readonly node: HTMLElement;
  private readonly opener: HTMLButtonElement;

  constructor(
    label: string,
    private readonly field: HTMLElement
  ) {
    this.opener = button(label, () => this.open(), { class: 'link' });
    this.node = el('div', {}, this.opener, field);
  }

  /** Show the field, and focus it. */
  open(): void {
    this.setOpen(true);
    this.field.querySelector<HTMLElement>('input, textarea')?.focus();
  }

  setOpen(open: boolean): void {
    setVisible(this.field, open);
    setVisible(this.opener, !open);
  }
}
