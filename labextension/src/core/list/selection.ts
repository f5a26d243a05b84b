import { hasEnded } from '../formatting';
import type { RunItem } from '../types';

/** Which of the shown runs are selected, and which of them the Tab key reaches. */
export class Selection {
  /** The id of the run that the Tab key reaches. */
  current: string | null = null;
  private readonly ids = new Set<string>();
  private shown: readonly RunItem[] = [];
  private anchor: string | null = null;

  /** The selected runs, in the order of the list. */
  get runs(): RunItem[] {
    return this.shown.filter(run => this.ids.has(run.id));
  }

  /** The shown runs that can be selected: those that have not ended. */
  get selectable(): RunItem[] {
    return this.shown.filter(run => !hasEnded(run));
  }

  /** Return whether a run is selected. */
  has(id: string): boolean {
    return this.ids.has(id);
  }

  /** Take over the shown runs. Runs that have ended or are not shown are deselected. */
  show(shown: readonly RunItem[]): void {
    const before = this.shown.findIndex(run => run.id === this.current);
    this.shown = shown;
    const open = new Set(this.selectable.map(run => run.id));
    [...this.ids].filter(id => !open.has(id)).forEach(id => this.ids.delete(id));
    if (!shown.some(run => run.id === this.current)) {
      this.current = shown.at(clamp(before, shown.length))?.id ?? null;
    }
  }

  /**
   * Select or deselect a run.
   *
   * @param isRange - whether also the runs between it and the one before
   */
  toggle(id: string, isRange = false): void {
    const isSelected = !this.ids.has(id);
    const from = this.anchor ?? this.current ?? id;
    this.set(isRange ? this.between(from, id) : [id], isSelected);
    this.anchor = id;
  }

  /** Select two neighbors. */
  extend(from: string, to: string): void {
    this.set([from, to], true);
    this.anchor = to;
  }

  /** Select all shown runs that have not ended. */
  selectAll(): void {
    this.set(
      this.shown.map(run => run.id),
      true
    );
  }

  /** Deselect all runs. */
  clear(): void {
    this.ids.clear();
    this.anchor = null;
  }

  /** Return the id of the run some rows further than the current one. */
  next(step: number): string | undefined {
    const at = this.shown.findIndex(run => run.id === this.current);
    return this.shown.at(clamp(at + step, this.shown.length))?.id;
  }

  private between(one: string, other: string): string[] {
    const ids = this.shown.map(run => run.id);
    const [from, to] = [ids.indexOf(one), ids.indexOf(other)].sort((a, b) => a - b);
    return from === -1 ? [other] : ids.slice(from, to + 1);
  }

  private set(ids: string[], isSelected: boolean): void {
    const open = new Set(this.selectable.map(run => run.id));
    for (const id of ids.filter(each => open.has(each))) {
      if (isSelected) {
        this.ids.add(id);
      } else {
        this.ids.delete(id);
      }
    }
  }
}

function clamp(at: number, length: number): number {
  return Math.max(0, Math.min(at, length - 1));
}
