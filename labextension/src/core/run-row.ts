import { makeBadge, setBadge } from './badge';
import { el, setText, setVisible } from './dom';
import { startCountdown, stopCounting } from './ticker';
import type { RunItem } from './types';
import { setTime } from './view-parts';
import {
  formatCount,
  currentStep,
  deadlineLabel,
  hasEnded,
  runBadge,
  stripAnsi
} from './formatting';

/** The row of a run in the list. */
export class RunRow {
  readonly node: HTMLLIElement;
  readonly opener: HTMLButtonElement;
  readonly checkbox: HTMLInputElement;
  private readonly badge = makeBadge('queued');
  private readonly workflow = el('span', { class: 'row-workflow' });
  private readonly step = el('span', { class: 'row-step' });
  private readonly title = el('span', { class: 'row-title', hidden: true });
  private readonly since = el('span', {});
  private readonly time = el('time', {});
  private readonly due = el('span', { class: 'row-due' });
  private readonly dueLabel = el('span', {});
  private readonly count = el('span', { class: 'countdown' });
  private readonly credits = el('span', { class: 'row-credits' });
  private readonly error = el('span', { class: 'row-error', hidden: true });
  private deadline: string | null = null;

  /**
   * @param run - the run to show
   * @param onOpen - called when the row is clicked
   * @param onSelect - called when the run is selected or deselected
   */
  constructor(
    run: RunItem,
    onOpen: (id: string) => void,
    onSelect: (id: string, selected: boolean) => void
  ) {
    const { id } = run;
    this.checkbox = el('input', { type: 'checkbox' });
    this.checkbox.addEventListener('change', () => onSelect(id, this.checkbox.checked));
    this.due.append(this.dueLabel, this.count);
    this.opener = el(
      'button',
      { type: 'button', class: 'row-open' },
      this.badge,
      this.workflow,
      this.step,
      this.title,
      el('span', { class: 'row-since' }, this.since, this.time),
      this.due,
      this.credits,
      this.error
    );
    this.opener.addEventListener('click', () => onOpen(id));
    const label = el('label', { class: 'row-check' }, this.checkbox);
    this.node = el('li', { class: 'row', 'data-run': id }, label, this.opener);
    this.update(run);
  }

  /** Show the run's state. */
  update(run: RunItem): void {
    const ended = hasEnded(run);
    const step = currentStep(run);
    setBadge(this.badge, runBadge(run));
    this.node.dataset.status = run.status;
    this.node.toggleAttribute('data-paused', run.pause !== null);
    setText(this.workflow, run.workflow_name);
    setText(this.step, step === '' ? '' : `step ${step}`);
    setText(this.title, run.title ?? '');
    setVisible(this.title, run.title !== null);
    setText(this.since, ended ? 'ended ' : run.pause ? 'since ' : 'started ');
    setTime(this.time, run.pause?.since ?? (ended ? run.updated_at : run.created_at));
    setText(this.credits, formatCount(run.usage.credits, 'credit'));
    this.checkbox.disabled = ended;
    const name = run.title === null ? run.workflow_name : `${run.title}, ${run.workflow_name}`;
    this.checkbox.setAttribute('aria-label', `Select ${name}, run ${run.id}`);
    this.opener.title = `Run ${run.id}`;
    this.updateError(run);
    this.updateDue(run);
  }

  /** Check or clear the checkbox. */
  select(selected: boolean): void {
    this.checkbox.checked = selected;
  }

  /** Stop the countdown. */
  dispose(): void {
    stopCounting(this.count);
  }

  private updateError(run: RunItem): void {
    const message = run.error === null ? (run.reason ?? '') : stripAnsi(run.error.message);
    setText(this.error, message.split('\n', 1)[0]);
    setVisible(this.error, message !== '');
  }

  private updateDue({ pause }: RunItem): void {
    setVisible(this.due, pause !== null);
    if (pause === null) {
      stopCounting(this.count);
    } else {
      setText(this.dueLabel, `${deadlineLabel(pause.kind)} `);
      if (this.deadline !== pause.deadline) {
        startCountdown(this.count, pause.deadline);
      }
    }
    this.deadline = pause?.deadline ?? null;
  }
}
