import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component, uniqueId } from '../component';
import { button, labeledField } from '../parts';
import type { FieldError, Pause } from '../types';
import type { PayloadCheck } from '../values/payload';
import { checkPayload } from '../values/payload';
import type { FormSchema, FormState } from './ask-form';
import { askForm } from './ask-form';
import { asks } from './decisions';
import { enterDraft, keepDraft, takeDraft } from './drafts';
import { jsonField } from './json-field';

/** Maximum number of characters of a note. */
const MAX_NOTE = 500;

/** What is entered for a pause. */
export interface Answer {
  /** The answer as JSON, or what is wrong with it. */
  data: PayloadCheck;
  /** Whether any data is entered. */
  hasData: boolean;
  /** What is wrong with fields of the form that the browser can't read. */
  problems: FieldError[];
  /** The note, or null if it is empty. */
  note: string | null;
  /** Whether anything is entered that was not sent. */
  isEdited: boolean;
}

/** An answer without anything. */
export const NO_ANSWER: Answer = {
  data: { ok: true, value: null },
  hasData: false,
  problems: [],
  note: null,
  isEdited: false
};

/** The properties of {@link answerBox}. */
export interface AnswerBoxProps {
  pause: Pause;
  /** Whether the run still waits in the pause. */
  isShown: boolean;
  /** The name of the draft. */
  draft: string;
  /** What is wrong with the fields, by the server's check. */
  errors: readonly FieldError[];
  onInput: (answer: Answer) => void;
}

/** What a person enters for a pause: the fields of its form, or else JSON, and a note. */
class AnswerBox extends Component<AnswerBoxProps> {
  private readonly root = createRef<HTMLElement>();
  private readonly ids = { data: uniqueId(), note: uniqueId() };
  private form: FormState | null = null;
  private text = '';
  private note = '';
  private isDataOpen = false;
  private isNoteOpen = false;

  protected override start(): void {
    this.unfold();
    this.props.onInput(this.answer);
  }

  protected override propsChanged({ draft }: AnswerBoxProps): void {
    if (draft !== this.props.draft) {
      this.unfold();
      this.keep();
    }
  }

  protected template(): unknown {
    const { pause, isShown } = this.props;
    const isEdited = isShown && this.answer.isEdited;
    return html`<div
      class="jp-PDFlow-answer"
      ?hidden=${!isShown}
      ?data-edited=${isEdited}
      ${ref(this.root)}
    >
      ${pause.form === null ? this.dataField() : this.formFields(pause.form)} ${this.noteField()}
      <span hidden ${ref(this.restore)}></span>
    </div>`;
  }

  private get answer(): Answer {
    const { form, text } = this;
    const note = this.note.trim() || null;
    const isEdited = this.note !== '' || text !== '' || form?.isEdited === true;
    if (this.props.pause.form === null) {
      const hasData = text.trim() !== '';
      return { data: checkPayload(text), hasData, problems: [], note, isEdited };
    }
    const value = form?.answer ?? {};
    const problems = form?.problems ?? [];
    return { data: { ok: true, value }, hasData: true, problems, note, isEdited };
  }

  private formFields(form: Record<string, unknown>): unknown {
    const schema = form as unknown as FormSchema;
    return askForm({ schema, errors: this.props.errors, onInput: this.onForm });
  }

  private dataField(): TemplateResult {
    const checked = checkPayload(this.text);
    const field = jsonField({
      id: this.ids.data,
      label: 'Data for the step',
      hint: 'JSON, optional',
      placeholder: '{"approved": true}',
      problem: checked.ok ? '' : checked.message,
      onInput: this.onData
    });
    const open = (): void => this.open('isDataOpen', this.ids.data);
    return folded('Answer with data…', this.isDataOpen, open, field);
  }

  private noteField(): TemplateResult {
    const { note: id } = this.ids;
    const area = html`<textarea
      class="jp-PDFlow-prose"
      id=${id}
      rows="2"
      maxlength=${MAX_NOTE}
      @input=${this.onNote}
    ></textarea>`;
    const field = labeledField(id, 'Note', 'optional, shown with the decision', area);
    return folded('Add a note…', this.isNoteOpen, () => this.open('isNoteOpen', id), field);
  }

  private readonly onForm = (state: FormState): void => {
    this.form = state;
    this.changed();
  };

  private readonly onData = (text: string): void => {
    this.text = text;
    this.changed();
  };

  private readonly onNote = ({ target }: Event): void => {
    this.note = (target as HTMLTextAreaElement).value;
    this.changed();
  };

  /** Show the fields that most people need, and buttons that show the others. */
  private unfold(): void {
    const isQuestion = asks(this.props.pause);
    this.isDataOpen = !isQuestion || this.text !== '';
    this.isNoteOpen = isQuestion || this.note !== '';
  }

  /** Show a field, and focus it. */
  private open(which: 'isDataOpen' | 'isNoteOpen', id: string): void {
    this[which] = true;
    this.requestUpdate();
    queueMicrotask(() => this.root.value?.querySelector<HTMLElement>(`#${id}`)?.focus());
  }

  /** Enter what was entered in an earlier view of the pause, once the fields are in the page. */
  private readonly restore = (last?: Element): void => {
    const draft = last === undefined ? undefined : takeDraft(this.props.draft);
    if (draft === undefined) {
      return;
    }
    queueMicrotask(() => {
      const root = this.root.value;
      if (root !== undefined) {
        enterDraft(draft, root);
        root
          .querySelectorAll('input, select, textarea')
          .forEach(input => input.dispatchEvent(new Event('input', { bubbles: true })));
        this.unfold();
        this.changed();
      }
    });
  };

  private changed(): void {
    this.keep();
    this.props.onInput(this.answer);
    this.requestUpdate();
  }

  private keep(): void {
    const root = this.root.value;
    if (root !== undefined && this.answer.isEdited) {
      keepDraft(this.props.draft, root);
    } else {
      takeDraft(this.props.draft);
    }
  }
}

/** What a person enters for a pause. It stays in the page until it is sent. */
export const answerBox = directive(AnswerBox);

/** Return a field behind a button that shows it. */
function folded(
  label: string,
  isOpen: boolean,
  open: () => void,
  field: TemplateResult
): TemplateResult {
  const opener = isOpen ? nothing : button(label, open, 'link');
  return html`<div>
    ${opener}
    <div ?hidden=${!isOpen}>${field}</div>
  </div>`;
}
