import { Widget } from '@lumino/widgets';
import { mount } from '../core/component';
import type { Filter } from '../core/filter';
import { focusList } from '../core/list/row-list';
import type { Grouping } from '../core/list/run-groups';
import { runsView } from '../core/list/runs-view';
import { workersView } from '../core/list/workers-view';
import type { LiveRuns } from '../core/live-runs';
import { runsIcon } from './icon';
import type { WaitingRuns } from './waiting-runs';

/** Where the browser remembers how the runs are grouped. */
const GROUPING_KEY = 'jupyter-pdflow:grouping';

/** The side panel with the list of runs. */
export class RunsPanel extends Widget {
  /** The panel's id in the shell. */
  static readonly id = 'jupyter-pdflow-panel';
  private unmount: (() => void) | null = null;
  private readonly view = document.createElement('div');
  private opened: string | null = null;
  private status?: Filter['status'];
  private currentPageSize?: number;

  /**
   * @param runs - the runs that views show
   * @param waiting - the waiting runs, which the title counts
   */
  constructor(
    private readonly runs: LiveRuns,
    private readonly waiting: WaitingRuns
  ) {
    super();
    this.id = RunsPanel.id;
    this.addClass('jp-pdflow-panel');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Workflow runs');
    this.title.icon = runsIcon;
    this.node.append(this.view);
    waiting.changed.connect(() => this.updateTitle());
    this.updateTitle();
  }

  /** Number of runs to read at once. The list is drawn again when it changes. */
  set pageSize(size: number) {
    if (size !== this.currentPageSize) {
      this.currentPageSize = size;
      if (this.unmount !== null) {
        this.draw();
      }
    }
  }

  /** Open a run, also if it was opened before. */
  open(runId: string): void {
    this.request({ opened: runId });
  }

  /** List the runs with a status, whatever the user has chosen. */
  showStatus(status: Filter['status']): void {
    this.request({ status });
  }

  override dispose(): void {
    this.unmount?.();
    super.dispose();
  }

  /** Create the view when the panel is first shown, so that a hidden panel reads no runs. */
  protected override onBeforeShow(): void {
    this.ensureView();
  }

  protected override onAfterAttach(): void {
    if (this.isVisible) {
      this.ensureView();
    }
  }

  protected override onActivateRequest(): void {
    this.ensureView();
    if (!this.node.contains(document.activeElement) || document.activeElement === this.node) {
      this.node.focus({ preventScroll: true });
      focusList(this.view);
    }
  }

  private ensureView(): void {
    if (this.unmount === null) {
      this.draw();
    }
  }

  /** Ask the view for something once. A request that is equal to the last one is another one. */
  private request({ opened, status }: { opened?: string; status?: Filter['status'] }): void {
    this.opened = null;
    this.status = undefined;
    this.draw();
    this.opened = opened ?? null;
    this.status = status;
    this.draw();
  }

  private draw(): void {
    const { runs, currentPageSize: pageSize, opened, status } = this;
    const onGrouping = (chosen: Grouping): void => localStorage.setItem(GROUPING_KEY, chosen);
    const grouping = localStorage.getItem(GROUPING_KEY) === 'workflow' ? 'workflow' : 'state';
    const footer = workersView({ host: runs.host });
    this.unmount = mount(
      this.view,
      runsView({ runs, pageSize, opened, status, grouping, onGrouping, footer })
    );
  }

  private updateTitle(): void {
    const { hasAny, count } = this.waiting;
    this.title.caption = hasAny ? `Workflow runs (${count} waiting)` : 'Workflow runs';
    this.title.className = hasAny ? 'jp-pdflow-tab jp-pdflow-tab-waiting' : 'jp-pdflow-tab';
  }
}
