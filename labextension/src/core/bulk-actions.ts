import { button, el, hasFocus, hasShownFocus, setText, show, uniqueId } from './dom';
import { labelled, questionForm } from './form';
import type { Host } from './host';
import { PayloadField } from './payload';
import type { Run, RunItem } from './types';
import { actionErrorWords, counted } from './formatting';

type Verb = 'cancel' | 'resume';

const AT_ONCE = 4;

/** Resume or cancel several runs: what is selected, a question, and what came of it. */
export class Bulk {
  readonly node: HTMLElement;
  private readonly bar: HTMLElement;
  private readonly words = el('span', { class: 'bulk-count' });
  private readonly resumeOpener: HTMLButtonElement;
  private readonly question: HTMLFormElement;
  private readonly asked = el('p', { class: 'bulk-asked' });
  private readonly payload: PayloadField;
  private readonly reason = el('input', { type: 'text', id: uniqueId(), autocomplete: 'off' });
  private readonly reasonField: HTMLElement;
  private readonly confirm = el('button', { type: 'submit', class: 'button primary' });
  private readonly answer = el('div', { class: 'answer', role: 'status', tabindex: -1 });
  private selected: RunItem[] = [];
  private verb: Verb | null = null;
  private busy = false;

  /**
   * @param host - what carries the actions out
   * @param onRun - told each run that an action answered
   * @param onClear - nothing is to be selected any more; sees to the focus
   */
  constructor(
    private readonly host: Host,
    private readonly onRun: (run: Run) => void,
    private readonly onClear: () => void
  ) {
    this.payload = new PayloadField('Data for each step', ok => {
      this.confirm.disabled = !ok;
    });
    this.reasonField = labelled('Reason', 'may be left empty', this.reason);
    this.resumeOpener = button('Resume…', () => this.ask('resume'));
    this.bar = el(
      'div',
      { class: 'bulk-bar', role: 'group', 'aria-label': 'Selected runs' },
      this.words,
      this.resumeOpener,
      button('Cancel…', () => this.ask('cancel')),
      button('Clear selection', onClear, { class: 'link' })
    );
    this.question = this.makeQuestion();
    this.node = el('div', { class: 'bulk' }, this.bar, this.question, this.answer);
    this.update([]);
  }

  /** Tell which runs are selected. */
  update(selected: RunItem[]): void {
    this.selected = selected;
    const some = selected.length > 0;
    const hadFocus = hasFocus(this.node);
    setText(this.words, `${counted(selected.length, 'run')} selected`);
    show(this.bar, some && this.verb === null);
    show(this.resumeOpener, this.concerned('resume').length > 0);
    if (!some && !this.busy) {
      this.verb = null;
    }
    this.drawQuestion();
    if (hadFocus && !hasShownFocus(this.node)) {
      this.answer.focus({ preventScroll: true });
    }
  }

  private makeQuestion(): HTMLFormElement {
    return questionForm(
      'bulk-question',
      { onSubmit: () => void this.act(), onLeave: () => this.back() },
      this.asked,
      this.payload.node,
      this.reasonField,
      el(
        'div',
        { class: 'buttons' },
        this.confirm,
        button('Back', () => this.back())
      )
    );
  }

  private ask(verb: Verb): void {
    this.verb = verb;
    this.answer.replaceChildren();
    this.update(this.selected);
    const field = verb === 'resume' ? this.payload.node : this.reasonField;
    field.querySelector<HTMLElement>('textarea, input')?.focus();
  }

  private back(): void {
    this.verb = null;
    this.update(this.selected);
    this.bar.querySelector<HTMLElement>('button:not([hidden])')?.focus();
  }

  private drawQuestion(): void {
    const { verb } = this;
    show(this.question, verb !== null);
    if (verb === null) {
      return;
    }
    const runs = this.concerned(verb);
    const left = this.selected.length - runs.length;
    const what = verb === 'resume' ? 'They go on at once.' : 'No later step of them is executed.';
    const others =
      left > 0
        ? ` ${counted(left, 'run')} of those selected ${left === 1 ? 'is' : 'are'} not paused and left alone.`
        : '';
    const label = `${verb === 'resume' ? 'Resume' : 'Cancel'} ${counted(runs.length, 'run')}`;
    setText(this.asked, `${label}? ${what}${others}`);
    setText(this.confirm, label);
    this.confirm.classList.toggle('jp-PDFlow-danger', verb === 'cancel');
    this.confirm.classList.toggle('jp-PDFlow-primary', verb === 'resume');
    show(this.payload.node, verb === 'resume');
    show(this.reasonField, verb === 'cancel');
    this.confirm.disabled = runs.length === 0 || (verb === 'resume' && !this.payload.check().ok);
  }

  /** The selected runs that an action is for. */
  private concerned(verb: Verb): RunItem[] {
    return verb === 'cancel' ? this.selected : this.selected.filter(run => run.pause !== null);
  }

  private async act(): Promise<void> {
    const { verb } = this;
    const checked = this.payload.check();
    if (verb === null || this.busy || (verb === 'resume' && !checked.ok)) {
      return;
    }
    const data = checked.ok ? checked.value : null;
    const reason = this.reason.value.trim() || null;
    const queue = [...this.concerned(verb)];
    const problems: [RunItem, string][] = [];
    const count = queue.length;
    this.busy = true;
    this.answer.replaceChildren('One moment…');
    const work = async (): Promise<void> => {
      for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
        try {
          const { id } = run;
          this.onRun(
            verb === 'resume'
              ? await this.host.resume(id, data)
              : await this.host.cancel(id, reason)
          );
        } catch (error) {
          problems.push([run, actionErrorWords(error)]);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    this.busy = false;
    this.verb = null;
    this.payload.clear();
    this.reason.value = '';
    this.say(verb, count - problems.length, problems);
    this.onClear();
  }

  private say(verb: Verb, done: number, problems: [RunItem, string][]): void {
    const words = `${counted(done, 'run')} ${verb === 'resume' ? 'resumed' : 'canceled'}.`;
    const items = problems.map(([run, why]) =>
      el('li', {}, `${run.workflow_name}, run ${run.id}: ${why}`)
    );
    const parts: Node[] = [el('p', {}, words)];
    if (items.length > 0) {
      parts.push(el('p', {}, `${counted(items.length, 'run')} not:`), el('ul', {}, ...items));
    }
    this.answer.replaceChildren(...parts);
    this.answer.dataset.kind = items.length > 0 ? 'bad' : 'good';
    this.answer.focus({ preventScroll: true });
  }
}
