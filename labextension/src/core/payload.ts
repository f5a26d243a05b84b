import { cls, el, setText, uniqueId } from './dom';
import { labeledField } from './form';

/** What was typed: a value, nothing, or something that is not JSON. */
export type PayloadCheck = { ok: true; value: unknown } | { ok: false; message: string };

/** Read what was typed as JSON; nothing at all is no data. */
export function checkPayload(text: string): PayloadCheck {
  if (text.trim() === '') {
    return { ok: true, value: null };
  }
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { ok: false, message: problem(text, error) };
  }
}

function problem(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const at = /position (\d+)/.exec(message)?.[1];
  const location =
    at === undefined || !text.includes('\n') ? '' : ` (line ${lineOf(text, Number(at))})`;
  return `This is not JSON yet${location}: ${hint(text)}`;
}

function lineOf(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

function hint(text: string): string {
  const trimmed = text.trim();
  if (/^'|[{[,:]\s*'/.test(trimmed)) {
    return 'texts stand in double quotes, such as "yes".';
  }
  if (/\b(True|False|None)\b/.test(trimmed)) {
    return 'write true, false or null.';
  }
  if (/,\s*[}\]]/.test(trimmed)) {
    return 'there is a comma too many.';
  }
  if (/^[A-Za-z][\w\s.!?-]*$/.test(trimmed)) {
    return 'put a text in double quotes, such as "yes".';
  }
  return 'write for example {"approved": true}, or leave the field empty.';
}

/** A field for optional JSON, checked while it is typed. */
export class PayloadField {
  readonly node: HTMLElement;
  private readonly area: HTMLTextAreaElement;
  private readonly message: HTMLElement;

  /**
   * @param label - what the data are for
   * @param onCheck - told whether what stands there can be sent
   */
  constructor(
    label: string,
    private readonly onCheck: (ok: boolean) => void
  ) {
    const id = uniqueId();
    this.message = el('div', { class: 'problem', id: `${id}-problem`, role: 'status' });
    this.area = el('textarea', {
      id,
      rows: 2,
      spellcheck: 'false',
      autocomplete: 'off',
      placeholder: '{"approved": true}',
      'aria-describedby': this.message.id
    });
    this.area.className = cls('payload');
    this.area.addEventListener('input', () => this.check());
    this.node = labeledField(label, 'JSON, may be left empty', this.area);
    this.node.append(this.message);
  }

  /** What was typed. */
  get text(): string {
    return this.area.value;
  }

  /** Read what was typed, and say what is wrong with it. */
  check(): PayloadCheck {
    const checked = checkPayload(this.area.value);
    setText(this.message, checked.ok ? '' : checked.message);
    this.area.setAttribute('aria-invalid', String(!checked.ok));
    this.onCheck(checked.ok);
    return checked;
  }

  /** Empty the field. */
  clear(): void {
    this.area.value = '';
    this.check();
  }
}
